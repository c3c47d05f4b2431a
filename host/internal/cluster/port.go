// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
	"golang.org/x/time/rate"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// AdmitFunc returns the secondary that a certificate belongs to, or why it is refused. The
// chain to the mode's CA was verified before.
type AdmitFunc func(ctx context.Context, leaf *x509.Certificate) (id string, err error)

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

// Listen accepts connections for a mode, replacing what was accepted before. Admit is
// asked at each handshake.
func (p *Port) Listen(mode replication.Mode, req replication.ListenRequest, admit AdmitFunc, serve ConnFunc) error {
	ca, err := x509.ParseCertificate(req.CACert)
	if err != nil {
		return replication.Errorf(replication.InvalidInput, "the CA certificate for the cluster port cannot be parsed: %w",
			err)
	}
	cert, err := keyPair(req.Cert, req.Key)
	if err != nil {
		return replication.Errorf(replication.InvalidInput, "the certificate for the cluster port cannot be used: %w", err)
	}
	l := p.listener()
	if l == nil {
		return replication.Errorf(replication.Unavailable, "this node has no cluster listener: set cluster_addr in its "+
			"configuration and try again")
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &handler{
		alpn: mode.ALPN(), ca: ca, cert: cert, admit: admit, serve: serve,
		logger:   p.logger.Named(string(mode)),
		refusals: rate.NewLimiter(rate.Every(refusalsEvery), refusalsBurst),
		ctx:      ctx, cancel: cancel,
		open: map[string][]*tls.Conn{},
	}
	p.mu.Lock()
	old := p.handlers[mode]
	p.handlers[mode] = h
	l.AddHandler(mode.ALPN(), h)
	p.mu.Unlock()
	if old != nil {
		old.end()
	}
	return nil
}

// StopAccepting refuses new connections for a mode. The present ones stay: a demoted
// primary tells its secondaries on them.
func (p *Port) StopAccepting(mode replication.Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopAcceptingLocked(mode)
}

// stopAcceptingLocked runs under the lock, so that it never takes a later handler off the
// listener.
func (p *Port) stopAcceptingLocked(mode replication.Mode) *handler {
	h := p.handlers[mode]
	if h == nil {
		return nil
	}
	if l := p.listener(); l != nil {
		l.StopHandler(mode.ALPN())
	}
	_ = h.Stop()
	return h
}

// StopListening refuses new connections for a mode and ends the present ones.
func (p *Port) StopListening(mode replication.Mode) {
	p.mu.Lock()
	h := p.stopAcceptingLocked(mode)
	delete(p.handlers, mode)
	p.mu.Unlock()
	if h != nil {
		h.end()
	}
}

// Cut closes all connections of a secondary.
func (p *Port) Cut(mode replication.Mode, id string) {
	p.mu.Lock()
	h := p.handlers[mode]
	p.mu.Unlock()
	if h != nil {
		h.cut(id)
	}
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
