// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
)

// Listener is Vault's cluster listener of the present unseal, with what only its core
// knows.
type Listener struct {
	*vaultcluster.Listener
	// Connections is what the listener waits for when it stops.
	Connections *sync.WaitGroup
}

// Border is the network of the cluster port. Everything from outside comes through it.
// Vault makes a listener at each unseal and asks Border for the sockets.
type Border struct {
	// configured returns the configured addresses, listener the listener that asks for
	// sockets.
	configured func() []*net.TCPAddr
	listener   func() Listener
	logger     hclog.Logger
	lobby      *lobby
	desks      desks

	mu sync.Mutex
	// addrs are the addresses with the ports that the system gave. They outlive an unseal,
	// because other nodes know them.
	addrs  []*net.TCPAddr
	fronts []*front
}

var _ vaultcluster.NetworkLayer = (*Border)(nil)

// NewBorder makes the network of a node. Nothing listens yet.
func NewBorder(configured func() []*net.TCPAddr, listener func() Listener, logger hclog.Logger) *Border {
	return &Border{
		configured: configured, listener: listener, logger: logger,
		lobby: newLobby(LobbyMax, LobbyPerAddress), desks: newDesks(),
	}
}

// Addrs are the addresses that the node listens on.
func (b *Border) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	var addrs []net.Addr
	for _, a := range b.addressesLocked() {
		addrs = append(addrs, a)
	}
	return addrs
}

func (b *Border) addressesLocked() []*net.TCPAddr {
	if b.addrs == nil {
		b.addrs = slices.Clone(b.configured())
	}
	return b.addrs
}

// Listeners opens the sockets and begins to accept. Vault closes each.
func (b *Border) Listeners() []vaultcluster.NetworkListener {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closeLocked()
	l := b.listener()
	if l.Listener == nil {
		b.logger.Error("the cluster port has no listener: nothing is accepted")
		return nil
	}
	policy, err := l.TLSConfig(context.Background())
	if err != nil {
		b.logger.Error("the cluster port has no TLS configuration: nothing is accepted", "error", err)
		return nil
	}
	var listeners []vaultcluster.NetworkListener
	for i, addr := range b.addressesLocked() {
		socket, err := net.ListenTCP("tcp", addr)
		if err != nil {
			b.logger.Error("the cluster port cannot be opened", "address", addr, "error", err)
			continue
		}
		b.addrs[i] = socket.Addr().(*net.TCPAddr)
		f := &front{
			socket: socket, handlers: l.Listener, suites: policy.CipherSuites, connections: l.Connections,
			lobby: b.lobby, desks: b.desks,
			logger: b.logger, sessions: hclog.LevelFromString(os.Getenv("VAULT_CLUSTER_TLS_SESSION_LOG_LEVEL")),
		}
		f.open()
		b.fronts = append(b.fronts, f)
		listeners = append(listeners, f)
	}
	return listeners
}

// Dial connects to another node of this cluster.
func (b *Border) Dial(address string, timeout time.Duration, cfg *tls.Config) (*tls.Conn, error) {
	//nolint:noctx // the interface of Vault has no context
	return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", address, cfg)
}

// Close closes all sockets.
func (b *Border) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closeLocked()
	return nil
}

func (b *Border) closeLocked() {
	for _, f := range b.fronts {
		_ = f.Close() // closed already, as a rule
	}
	b.fronts = nil
}
