// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Network connects hosts by address.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	conns     map[*wire]string
	dials     map[string]int
	silent    map[string]bool
	// standing are addresses at which a server answers that has no role to offer.
	standing map[string]bool
	apis     map[string]*Host
}

type listener struct {
	host *Host
	tls  *tls.Config
}

// NewNetwork makes an empty network.
func NewNetwork() *Network {
	return &Network{listeners: map[string]*listener{}, conns: map[*wire]string{}, dials: map[string]int{},
		silent: map[string]bool{}, standing: map[string]bool{}, apis: map[string]*Host{}}
}

// Dials is how often an address was dialled.
func (n *Network) Dials(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[address]
}

// Freeze makes all present connections to an address half-open: what is written
// vanishes, nothing arrives, nothing is closed.
func (n *Network) Freeze(address string) {
	n.each(address, func(w *wire) { w.freeze() })
}

// Silence freezes an address for good: what dials it from now on waits.
func (n *Network) Silence(address string) {
	n.mu.Lock()
	n.silent[address] = true
	n.mu.Unlock()
	n.Freeze(address)
}

// Stand says that a server answers at an address also while nobody listens there for
// secondaries, as the cluster port of a standby does.
func (n *Network) Stand(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standing[address] = true
}

func (n *Network) apiOf(address string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.apis[address]
}

// Break closes all present connections to an address.
func (n *Network) Break(address string) {
	n.each(address, func(w *wire) { _ = w.Conn.Close() })
}

func (n *Network) each(address string, do func(*wire)) {
	n.mu.Lock()
	var found []*wire
	for w, at := range n.conns {
		if at == address {
			found = append(found, w)
		}
	}
	n.mu.Unlock()
	for _, w := range found {
		do(w)
	}
}

func (n *Network) listen(addresses []string, h *Host, req replication.ListenRequest) error {
	ca, err := x509.ParseCertificate(req.CACert)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(req.Key)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	l := &listener{host: h, tls: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{req.Cert}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addresses {
		n.listeners[a] = l
	}
	return nil
}

func (n *Network) stopListening(h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a, l := range n.listeners {
		if l.host == h {
			delete(n.listeners, a)
		}
	}
}

func (n *Network) dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	n.mu.Lock()
	n.dials[req.Address]++
	l, silent, stands := n.listeners[req.Address], n.silent[req.Address], n.standing[req.Address]
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, replication.Errorf(replication.Unreachable, "%s did not answer in time: %w", req.Address, ctx.Err())
	}
	if l == nil && stands {
		return nil, replication.Errorf(replication.Denied, "TLS was refused at %s", req.Address)
	}
	if l == nil {
		return nil, replication.Errorf(replication.Unreachable, "nothing answers at %s", req.Address)
	}
	ca, err := x509.ParseCertificate(req.CACert)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(req.Key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	a, b := net.Pipe()
	near, far := newWire(a), newWire(b)
	n.mu.Lock()
	n.conns[near], n.conns[far] = req.Address, req.Address
	n.mu.Unlock()
	near.gone = func() { n.forget(near) }
	far.gone = func() { n.forget(far) }
	go l.host.accept(tls.Server(far, l.tls)) //nolint:gosec // a connection outlives the dial that made it
	conn := tls.Client(near, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: req.ServerName,
		Certificates: []tls.Certificate{{Certificate: [][]byte{req.Cert}, PrivateKey: key.(*ecdsa.PrivateKey)}},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, replication.Errorf(replication.Denied, "TLS was refused at %s: %w", req.Address, err)
	}
	return &dialled{conn, near}, nil
}

// dialled closes without a goodbye: on a pipe that waits until the other end reads.
type dialled struct {
	*tls.Conn
	wire *wire
}

func (d *dialled) Close() error { return d.wire.Close() }

func (n *Network) forget(w *wire) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, w)
}

// wire is one end of a pipe that can fall silent.
type wire struct {
	net.Conn
	gone   func()
	once   sync.Once
	closed chan struct{}

	mu     sync.Mutex
	frozen bool
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, gone: func() {}, closed: make(chan struct{})} }

func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
}

func (w *wire) isFrozen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frozen
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.isFrozen() {
		<-w.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if w.isFrozen() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// Close tells the other end, unless the wire is frozen: then it hears nothing.
func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed); w.gone() })
	if w.isFrozen() {
		return w.Conn.SetDeadline(time.Unix(1, 0))
	}
	return w.Conn.Close()
}
