// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/cluster"

	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
)

// Core is a Vault core with the seams that replication needs. Its hooks must be
// set between [Attach] and the first unseal; everything else is safe for
// concurrent use.
type Core struct {
	*vault.Core

	barrier *openBarrier

	// restarting serialises changes of role.
	restarting sync.Mutex
	inRestart  atomic.Bool

	mu           sync.Mutex
	onBackend    map[string]func(*framework.Backend) error
	onReady      func(context.Context)
	onActive     func(context.Context)
	onInactive   func()
	savedLogical map[string]logical.Factory
	savedAuth    map[string]logical.Factory
}

// Attach checks the expectations and puts the seams of the barrier and of
// the core's own backends in. It must run before the core is unsealed for the first time.
func Attach(core *vault.Core) (*Core, error) {
	if err := pinned.Check(); err != nil {
		return nil, err
	}
	c := &Core{Core: core, onBackend: map[string]func(*framework.Backend) error{}}
	slot := pinned.Field[vault.SecurityBarrier](core, "barrier")
	inner, ok := (*slot).(*vault.AESGCMBarrier)
	if !ok {
		return nil, fmt.Errorf("the barrier of this Vault is a %T, not the AES-GCM barrier: replication cannot attach", *slot)
	}
	if sealed, err := inner.Sealed(); err != nil || !sealed {
		return nil, errors.New("replication must attach before Vault is unsealed")
	}
	c.barrier = &openBarrier{SecurityBarrier: inner, inner: inner, opened: func() bool { return !core.Sealed() }}
	*slot = c.barrier
	c.hookCoreBackends()
	return c, nil
}

// Logger is the core's logger.
func (c *Core) Logger() hclog.Logger { return c.Core.Logger() }

// InstallStorage replaces the storage that the barrier and the seal write to by
// a wrapper of it. Raft and HA keep the storage they have.
func (c *Core) InstallStorage(wrap func(physical.Backend) physical.Backend) {
	chain := pinned.Field[physical.Backend](c.Core, "physical")
	wrapped := wrap(*chain)
	*chain = wrapped
	*pinned.Field[physical.Backend](c.barrier.inner, "backend") = wrapped
}

// UnderlyingStorage is the storage at the bottom of Vault's chain, the one that
// knows its own limits.
func (c *Core) UnderlyingStorage() physical.Backend {
	return *pinned.Field[physical.Backend](c.Core, "underlyingPhysical")
}

// RaftFolder is where raft has its files; empty with other storage.
func (c *Core) RaftFolder() string {
	store, ok := c.UnderlyingStorage().(*raft.RaftBackend)
	if !ok {
		return ""
	}
	return *pinned.Field[string](store, "dataDir")
}

// RedirectAddr is the API address that the node advertises.
func (c *Core) RedirectAddr() string { return *pinned.Field[string](c.Core, "redirectAddr") }

// NodeAddrs are the cluster addresses of the nodes of this cluster as URLs. With raft
// they are those of its configuration, the leader's first. On other storage nobody
// writes down which nodes there are: the active node has those of the standbys that it
// hears from.
func (c *Core) NodeAddrs(ctx context.Context) []string {
	store, ok := c.UnderlyingStorage().(*raft.RaftBackend)
	if !ok {
		var addrs []string
		for _, peer := range c.GetHAPeerNodesCached() {
			if peer.ClusterAddress != "" {
				addrs = append(addrs, peer.ClusterAddress)
			}
		}
		return addrs
	}
	conf, err := store.GetConfiguration(ctx)
	if err != nil {
		return nil
	}
	var leader, others []string
	for _, s := range conf.Servers {
		if s.Leader {
			leader = append(leader, "https://"+s.Address)
		} else {
			others = append(others, "https://"+s.Address)
		}
	}
	return append(leader, others...)
}

// HasHA says whether the storage elects leaders. Without it the node is active
// as soon as it is unsealed.
func (c *Core) HasHA() bool {
	return *pinned.Field[physical.HABackend](c.Core, "ha") != nil
}

// SetReplicationState sets the word that Vault's secondary branches read. It
// takes effect at once for single requests; what a core builds at unseal follows
// at the next [Core.Restart].
func (c *Core) SetReplicationState(s consts.ReplicationState) {
	atomic.StoreUint32(*pinned.Field[*uint32](c.Core, "replicationState"), uint32(s))
}

// ClusterListener is the cluster port, nil when the node has none or is sealed.
// It is made anew at each unseal.
func (c *Core) ClusterListener() cluster.ClusterHook {
	v := (*pinned.Field[*atomic.Value](c.Core, "clusterListener")).Load()
	if l, ok := v.(*cluster.Listener); ok && l != nil {
		return l
	}
	return nil
}

// SetClusterNetwork gives the network of the cluster port. A core that was made with
// one of its own keeps it.
func (c *Core) SetClusterNetwork(layer cluster.NetworkLayer) {
	if slot := pinned.Field[cluster.NetworkLayer](c.Core, "clusterNetworkLayer"); *slot == nil {
		*slot = layer
	}
}

// ClusterListenerAddrs are the addresses that the configuration gives the cluster port.
func (c *Core) ClusterListenerAddrs() []*net.TCPAddr {
	return *pinned.Field[[]*net.TCPAddr](c.Core, "clusterListenerAddrs")
}

// ClusterListenerConnections is the present cluster listener with the group that it
// waits for when it stops; nil as ClusterListener.
func (c *Core) ClusterListenerConnections() (*cluster.Listener, *sync.WaitGroup) {
	l, ok := c.ClusterListener().(*cluster.Listener)
	if !ok {
		return nil, nil
	}
	return l, *pinned.Field[*sync.WaitGroup](l, "shutdownWg")
}

// RequestStarted is when the HTTP request came that a context is of, as the core hands
// it to its backends: it takes the request's deadline off. OK is false for what the core
// does by itself.
func (c *Core) RequestStarted(ctx context.Context) (at time.Time, ok bool) {
	id, _ := ctx.Value(logical.CtxKeyInFlightRequestID{}).(string)
	if id == "" {
		return time.Time{}, false
	}
	kept, _ := (*pinned.Field[*vault.InFlightRequests](c.Core, "inFlightReqData")).InFlightReqMap.Load(id)
	data, ok := kept.(vault.InFlightReqData)
	return data.StartTime, ok
}

// withState runs f while the core can neither seal nor change its state.
func (c *Core) withState(f func() error) error {
	lock := *pinned.Field[locking.RWMutex](c.Core, "stateLock")
	lock.RLock()
	defer lock.RUnlock()
	return f()
}
