// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	vaultcluster "github.com/hashicorp/vault/vault/cluster"
	"github.com/stretchr/testify/require"
)

// node is the part of a core that makes a cluster listener at each unseal.
type node struct {
	border *Border

	mu      sync.Mutex
	present Listener
}

func newNode(t *testing.T) *node {
	n := &node{}
	addrs := []*net.TCPAddr{{IP: net.IPv4(127, 0, 0, 1)}}
	n.border = NewBorder(func() []*net.TCPAddr { return addrs }, func() Listener {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.present
	}, hclog.NewNullLogger())
	t.Cleanup(func() { _ = n.border.Close() })
	return n
}

// unseal makes Vault's listener and runs it, as a core does.
func (n *node) unseal(t *testing.T) *vaultcluster.Listener {
	t.Helper()
	l := vaultcluster.NewListener(n.border, nil, hclog.NewNullLogger(), time.Second)
	n.mu.Lock()
	n.present = Listener{Listener: l, Connections: &sync.WaitGroup{}}
	n.mu.Unlock()
	require.NoError(t, l.Run(context.Background()))
	t.Cleanup(l.Stop)
	return l
}

// seal stops it, and waits for what Vault would wait for.
func (n *node) seal(l *vaultcluster.Listener) {
	l.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.present.Connections.Wait()
}
