// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// ConnFunc takes over a connection whose client certificate was verified. It
// returns when the connection is done; the context ends with the handler.
type ConnFunc func(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error

// Port is the cluster port of a node.
type Port struct {
	// listener is the present listener, nil while there is none: it is made
	// anew when the node is unsealed.
	listener func() vaultcluster.ClusterHook
	logger   hclog.Logger
	policy   TLSPolicy

	mu       sync.Mutex
	handlers map[replication.Mode]*handler
}

// TLSPolicy is the least that a connection to a primary must be. Its zero value is
// TLS 1.2 with Go's cipher suites.
type TLSPolicy struct {
	MinVersion   uint16
	CipherSuites []uint16
}

// New returns the port of the node whose listener is given.
func New(listener func() vaultcluster.ClusterHook, policy TLSPolicy, logger hclog.Logger) *Port {
	policy.MinVersion = max(policy.MinVersion, tls.VersionTLS12)
	return &Port{listener: listener, policy: policy, logger: logger, handlers: map[replication.Mode]*handler{}}
}

// Listen accepts connections for a mode, replacing what was accepted before.
func (p *Port) Listen(mode replication.Mode, req replication.ListenRequest, serve ConnFunc) error {
	ca, err := x509.ParseCertificate(req.CACert)
	if err != nil {
		return replication.Errorf(replication.InvalidInput, "the CA certificate for the cluster port cannot be parsed: %w", err)
	}
	cert, err := keyPair(req.Cert, req.Key)
	if err != nil {
		return replication.Errorf(replication.InvalidInput, "the certificate for the cluster port cannot be used: %w", err)
	}
	l := p.listener()
	if l == nil {
		return replication.Errorf(replication.Unavailable, "this node has no cluster listener: set cluster_addr in its configuration and try again")
	}
	h := newHandler(ca, cert, serve, p.logger.Named(string(mode)))
	p.mu.Lock()
	old := p.handlers[mode]
	p.handlers[mode] = h
	l.AddHandler(mode.ALPN(), h)
	p.mu.Unlock()
	if old != nil {
		_ = old.Stop()
	}
	return nil
}

// StopListening refuses new connections for a mode and ends the present ones.
func (p *Port) StopListening(mode replication.Mode) {
	p.mu.Lock()
	h := p.handlers[mode]
	delete(p.handlers, mode)
	l := p.listener()
	p.mu.Unlock()
	if h == nil {
		return
	}
	if l != nil {
		l.StopHandler(mode.ALPN())
	}
	_ = h.Stop()
}

// keyPair builds a TLS certificate of DER parts.
func keyPair(certDER, keyDER []byte) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{certDER}, PrivateKey: key, Leaf: leaf}, nil
}

// handler serves one mode on the listener.
type handler struct {
	ca     *x509.Certificate
	cert   *tls.Certificate
	serve  ConnFunc
	logger hclog.Logger

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
}

var _ vaultcluster.Handler = (*handler)(nil)

func newHandler(ca *x509.Certificate, cert *tls.Certificate, serve ConnFunc, logger hclog.Logger) *handler {
	ctx, cancel := context.WithCancel(context.Background())
	return &handler{ca: ca, cert: cert, serve: serve, logger: logger, ctx: ctx, cancel: cancel}
}

func (h *handler) ServerLookup(context.Context, *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return h.cert, nil
}

func (h *handler) CALookup(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{h.ca}, nil
}

// Handoff takes over an accepted connection and returns at once.
func (h *handler) Handoff(ctx context.Context, listenerDone *sync.WaitGroup, closing chan struct{}, conn *tls.Conn) error {
	state := conn.ConnectionState()
	if !state.HandshakeComplete || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		_ = conn.Close()
		return errors.New("refused a replication connection without a verified client certificate")
	}
	// The listener asks the handler for its CA before it knows which handler the
	// connection will end up with: make sure that it was this one's.
	if err := state.PeerCertificates[0].CheckSignatureFrom(h.ca); err != nil {
		_ = conn.Close()
		return fmt.Errorf("refused a replication connection of another replication set: %w", err)
	}
	h.mu.Lock()
	if h.stopped {
		h.mu.Unlock()
		return conn.Close()
	}
	h.wg.Add(1)
	h.mu.Unlock()
	listenerDone.Add(1)

	go func() {
		defer listenerDone.Done()
		defer h.wg.Done()
		ctx, cancel := context.WithCancel(h.ctx)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		go func() {
			select {
			case <-closing:
				cancel()
			case <-ctx.Done():
			}
		}()
		defer func() { _ = conn.Close() }()
		peer := replication.PeerInfo{Certificate: state.PeerCertificates[0].Raw, RemoteAddr: conn.RemoteAddr().String()}
		if err := h.serve(ctx, conn, peer); err != nil && ctx.Err() == nil {
			h.logger.Info("a replication connection ended", "remote", peer.RemoteAddr, "reason", err)
		}
	}()
	return nil
}

// Stop ends the connections and waits for them.
func (h *handler) Stop() error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	return nil
}
