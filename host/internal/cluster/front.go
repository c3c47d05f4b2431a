// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"

	"github.com/vault-replication/vault-replication/shared/pause"
)

// Bounds of one handshake on the cluster port.
const (
	// HelloWithin is how long a client may take for its ClientHello.
	HelloWithin = 5 * time.Second
	// HandshakeWithin is how long the rest may take after it.
	HandshakeWithin = 5 * time.Second
	// HandshakeBytes is how much a client may send in it.
	HandshakeBytes = 64 << 10
)

// clientVerifier is a handler that looks at a client's certificate beyond its chain.
type clientVerifier interface {
	VerifyClient(ctx context.Context, leaf *x509.Certificate) error
}

// handlers returns the handlers that are registered at Vault's listener now.
type handlers interface {
	Handler(alpn string) (vaultcluster.Handler, bool)
}

// front accepts the connections of one socket in place of Vault's own loop, which shakes
// hands with one client after the other and looks for the handler twice. Here each
// handshake has a goroutine of its own. Its connection goes to the handler whose root of
// trust verified it, or to none.
//
// Towards Vault it is a listener on which nothing ever arrives.
type front struct {
	socket   net.Listener
	handlers handlers
	suites   []uint16
	lobby    *lobby
	desks    desks
	logger   hclog.Logger
	sessions hclog.Level
	// connections is what Vault waits for when its listener stops. One count belongs to the
	// front itself.
	connections *sync.WaitGroup

	ctx     context.Context
	cancel  context.CancelFunc
	closing chan struct{}
	once    sync.Once
	shaking sync.WaitGroup

	deadline atomic.Pointer[time.Time]
}

var _ vaultcluster.NetworkListener = (*front)(nil)

// open begins to accept. Close must be called.
func (f *front) open() {
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.closing = make(chan struct{})
	f.connections.Add(1)
	f.shaking.Go(f.accept)
}

func (f *front) accept() {
	retry := pause.Growing(5*time.Millisecond, time.Second)
	for {
		conn, err := f.socket.Accept()
		switch {
		case err == nil:
			retry.Reset()
			// Connections enter in the order in which they came, because the oldest gives
			// way first.
			g := f.lobby.enter(conn)
			f.shaking.Go(func() { f.receive(conn, g) })
			continue
		case f.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		}
		// The process may have no file descriptors left, for instance.
		wait := retry.NextBackOff()
		f.logger.Warn("the cluster port could not accept a connection", "error", err, "retry_in", wait)
		if pause.For(f.ctx, wait) != nil {
			return
		}
	}
}

// receive shakes hands with a client and gives it to its handler.
func (f *front) receive(raw net.Conn, g *guest) {
	conn, h, err := f.shake(raw, g)
	f.lobby.leave(g)
	if err == nil {
		err = f.handOver(conn, h)
	}
	if err != nil {
		_ = raw.Close()
		f.logger.Debug("refused a connection on the cluster port", "remote", raw.RemoteAddr().String(), "error", err)
	}
}

// shake does the handshake. The handler is the one that the ClientHello named: its
// root of trust verified the client.
func (f *front) shake(raw net.Conn, g *guest) (*tls.Conn, vaultcluster.Handler, error) {
	var chosen vaultcluster.Handler
	limited := &handshakeConn{Conn: raw}
	limited.left.Store(HandshakeBytes)
	defer limited.answered()
	ctx, cancel := context.WithTimeout(f.ctx, HelloWithin+HandshakeWithin)
	defer cancel()
	conn := tls.Server(limited, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			f.lobby.heard(g)
			if err := raw.SetDeadline(time.Now().Add(HandshakeWithin)); err != nil {
				return nil, err
			}
			leave, err := f.desks.take(ctx)
			if err != nil {
				return nil, err
			}
			limited.onAnswer(leave)
			var cfg *tls.Config
			chosen, cfg, err = f.configFor(hello)
			return cfg, err
		},
	})
	if err := raw.SetDeadline(time.Now().Add(HelloWithin)); err != nil {
		return nil, nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	limited.done.Store(true)
	return conn, chosen, raw.SetDeadline(time.Time{})
}

// configFor returns the handler that a client asks for, and its TLS configuration.
func (f *front) configFor(hello *tls.ClientHelloInfo) (vaultcluster.Handler, *tls.Config, error) {
	if len(hello.SupportedProtos) != 1 {
		return nil, nil, fmt.Errorf("a client of the cluster port offers %d protocols, not one", len(hello.SupportedProtos))
	}
	alpn := hello.SupportedProtos[0]
	h, ok := f.handlers.Handler(alpn)
	if !ok {
		return nil, nil, fmt.Errorf("nobody listens for the protocol %q now", alpn)
	}
	roots, err := h.CALookup(f.ctx)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	for _, ca := range roots {
		pool.AddCert(ca)
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: f.suites,
		NextProtos:   []string{alpn},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		// Each connection is verified for itself.
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return h.ServerLookup(f.ctx, hello)
		},
	}
	if v, ok := h.(clientVerifier); ok {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the client shows no certificate")
			}
			return v.VerifyClient(f.ctx, state.PeerCertificates[0])
		}
	}
	return h, cfg, nil
}

// handOver gives a connection to the handler that verified it, if the handler is still the
// one of its protocol.
func (f *front) handOver(conn *tls.Conn, h vaultcluster.Handler) error {
	state := conn.ConnectionState()
	if now, ok := f.handlers.Handler(state.NegotiatedProtocol); !ok || now != h {
		return fmt.Errorf("who listens for the protocol %q changed during the handshake", state.NegotiatedProtocol)
	}
	if f.sessions != hclog.NoLevel {
		f.logger.Log(f.sessions, "TLS connection established", "peer", conn.RemoteAddr().String(),
			"negotiated_protocol", state.NegotiatedProtocol, "cipher_suite", tls.CipherSuiteName(state.CipherSuite))
	}
	return h.Handoff(f.ctx, f.connections, f.closing, conn)
}

// Accept waits for the deadline or the end. Then Vault's loop looks whether it has to stop.
func (f *front) Accept() (net.Conn, error) {
	var late <-chan time.Time
	if at := f.deadline.Load(); at != nil && !at.IsZero() {
		late = time.After(time.Until(*at))
	}
	select {
	case <-late:
		return nil, os.ErrDeadlineExceeded
	case <-f.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (f *front) SetDeadline(t time.Time) error {
	f.deadline.Store(&t)
	return nil
}

func (f *front) Addr() net.Addr { return f.socket.Addr() }

// Close ends the connections that were not handed over, tells the handlers to end the
// others, and frees the address.
func (f *front) Close() error {
	err := net.ErrClosed
	f.once.Do(func() {
		err = f.socket.Close()
		f.cancel()
		f.shaking.Wait()
		close(f.closing)
		f.connections.Done()
	})
	return err
}
