// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
	"golang.org/x/time/rate"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// ConnectionsMax bounds the connections that are open with one certificate.
const ConnectionsMax = 8

// A refused certificate is a line in the log: a few lines at once, then one in a while.
const (
	refusalsEvery = 10 * time.Second
	refusalsBurst = 5
)

// handler serves one mode on the listener.
type handler struct {
	alpn   string
	ca     *x509.Certificate
	cert   *tls.Certificate
	admit  AdmitFunc
	serve  ConnFunc
	logger hclog.Logger
	// refusals bounds what a peer that comes again and again writes to the log.
	refusals *rate.Limiter

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	open    map[string][]*tls.Conn // by the id of the secondary
	wg      sync.WaitGroup
}

var (
	_ vaultcluster.Handler = (*handler)(nil)
	_ clientVerifier       = (*handler)(nil)
)

// ServerLookup answers a client that speaks replication's protocol and no other. Vault's
// own listener hands a connection to the first protocol of the client's list that has a
// handler when the handshake has ended. That need not be the handler that verified the
// client.
func (h *handler) ServerLookup(_ context.Context, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Equal(hello.SupportedProtos, []string{h.alpn}) {
		return nil, fmt.Errorf("a client of %s must offer that protocol alone", h.alpn)
	}
	return h.cert, nil
}

func (h *handler) CALookup(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{h.ca}, nil
}

// VerifyClient refuses a certificate unless it is the recorded one of a secondary that is not revoked.
func (h *handler) VerifyClient(ctx context.Context, leaf *x509.Certificate) error {
	_, err := h.admit(ctx, leaf)
	if err != nil && h.refusals.Allow() {
		h.logger.Warn("refused the certificate of a secondary", "name", leaf.Subject.CommonName, "error", err)
	}
	return err
}

// Handoff takes over an accepted connection and returns at once.
func (h *handler) Handoff(_ context.Context, done *sync.WaitGroup, closing chan struct{}, conn *tls.Conn) error {
	state := conn.ConnectionState()
	if !state.HandshakeComplete || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		_ = conn.Close()
		return errors.New("refused a replication connection without a verified client certificate")
	}
	leaf := state.PeerCertificates[0]
	// A listener may have asked another handler than this one for the root of trust.
	if err := leaf.CheckSignatureFrom(h.ca); err != nil {
		_ = conn.Close()
		return fmt.Errorf("refused a replication connection of another replication set: %w", err)
	}
	id := leaf.Subject.CommonName
	if err := h.enter(id, conn); err != nil {
		_ = conn.Close()
		return err
	}
	done.Go(func() {
		defer h.leave(id, conn)
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
		// This asks again, now that a revocation would find the connection. A secondary
		// that was revoked in between is either cut by the revocation or refused here.
		if err := h.VerifyClient(ctx, leaf); err != nil {
			return
		}
		peer := replication.PeerInfo{Certificate: leaf.Raw, RemoteAddr: conn.RemoteAddr().String()}
		if err := h.serve(ctx, conn, peer); err != nil && ctx.Err() == nil {
			h.logger.Info("a replication connection ended", "remote", peer.RemoteAddr, "reason", err)
		}
	})
	return nil
}

func (h *handler) enter(id string, conn *tls.Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return errors.New("refused a replication connection: replication has stopped listening")
	}
	if n := len(h.open[id]); n >= ConnectionsMax {
		return fmt.Errorf("refused a replication connection: the secondary %q has %d already", id, n)
	}
	h.open[id] = append(h.open[id], conn)
	h.wg.Add(1)
	return nil
}

func (h *handler) leave(id string, conn *tls.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[id] = slices.DeleteFunc(h.open[id], func(c *tls.Conn) bool { return c == conn })
	if len(h.open[id]) == 0 {
		delete(h.open, id)
	}
	h.wg.Done()
}

// cut closes the connections of a secondary.
func (h *handler) cut(id string) {
	h.mu.Lock()
	conns := slices.Clone(h.open[id])
	h.mu.Unlock()
	for _, c := range conns {
		// The TLS close would wait for a peer that does not read.
		_ = c.NetConn().Close()
	}
}

// Stop refuses new connections. Vault's listener calls it when it forgets the handler. The
// present connections stay: the plugin has a last word to say on them.
func (h *handler) Stop() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	return nil
}

// end ends the connections too and waits for them.
func (h *handler) end() {
	_ = h.Stop()
	h.cancel()
	h.wg.Wait()
}
