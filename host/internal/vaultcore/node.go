// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/cluster"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Node is the node that a core runs on: its storage, its addresses and its cluster port.
type Node struct{ core *vault.Core }

// UnderlyingStorage is the storage at the bottom of Vault's chain, the one that
// knows its own limits.
func (n Node) UnderlyingStorage() physical.Backend {
	return *pinned.Field[physical.Backend](n.core, "underlyingPhysical")
}

// RaftFolder is where raft has its files; empty with other storage.
func (n Node) RaftFolder() string {
	store, ok := n.UnderlyingStorage().(*raft.RaftBackend)
	if !ok {
		return ""
	}
	return *pinned.Field[string](store, "dataDir")
}

// Snapshot writes a snapshot of raft storage. The seal protects its sums, as in one that Vault makes.
func (n Node) Snapshot(to io.Writer) error {
	store, ok := n.UnderlyingStorage().(*raft.RaftBackend)
	if !ok {
		return errors.New("raft storage is not in use")
	}
	return store.Snapshot(to, vault.NewSealAccessSealer(n.core.SealAccess().GetAccess(), nil, "snapshot_read"))
}

// RedirectAddr is the API address that the node advertises.
func (n Node) RedirectAddr() string { return *pinned.Field[string](n.core, "redirectAddr") }

// NodeAddrs are the cluster addresses of the nodes of this cluster as URLs. With raft they
// come from its configuration, the leader's first. Other storage has no list of nodes:
// there the active node knows the standbys that it hears from.
func (n Node) NodeAddrs(ctx context.Context) []string {
	store, ok := n.UnderlyingStorage().(*raft.RaftBackend)
	if !ok {
		var addrs []string
		for _, peer := range n.core.GetHAPeerNodesCached() {
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
func (n Node) HasHA() bool {
	return *pinned.Field[physical.HABackend](n.core, "ha") != nil
}

// ClusterListener is the cluster port, nil when the node has none or is sealed.
// It is made anew at each unseal.
func (n Node) ClusterListener() cluster.ClusterHook {
	v := (*pinned.Field[*atomic.Value](n.core, "clusterListener")).Load()
	if l, ok := v.(*cluster.Listener); ok && l != nil {
		return l
	}
	return nil
}

// SetClusterNetwork gives the network of the cluster port. A core that was made with
// one of its own keeps it.
func (n Node) SetClusterNetwork(layer cluster.NetworkLayer) {
	if slot := pinned.Field[cluster.NetworkLayer](n.core, "clusterNetworkLayer"); *slot == nil {
		*slot = layer
	}
}

// ClusterListenerAddrs are the addresses that the configuration gives the cluster port.
func (n Node) ClusterListenerAddrs() []*net.TCPAddr {
	return *pinned.Field[[]*net.TCPAddr](n.core, "clusterListenerAddrs")
}

// ClusterListenerConnections is the present cluster listener with the group that it
// waits for when it stops; nil as ClusterListener.
func (n Node) ClusterListenerConnections() (*cluster.Listener, *sync.WaitGroup) {
	l, ok := n.ClusterListener().(*cluster.Listener)
	if !ok {
		return nil, nil
	}
	return l, *pinned.Field[*sync.WaitGroup](l, "shutdownWg")
}

// LeaderKnown says whether the node leads or knows who does. It is what Vault asks before
// it passes a request on.
func (n Node) LeaderKnown() bool {
	leads, addr, _, err := n.core.Leader()
	return err == nil && (leads || addr != "")
}

// raftElects says whether raft elects the active node; it keeps the leadership while
// the core is sealed.
func (n Node) raftElects() bool {
	_, ok := (*pinned.Field[physical.HABackend](n.core, "ha")).(*raft.RaftBackend)
	return ok
}
