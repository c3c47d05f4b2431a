// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// nodePatience bounds how long a status waits for the host. The host kills a plugin that gives no status for longer.
const nodePatience = time.Second

// Status implements [replication.Backend].
func (e *Engine) Status(ctx context.Context) (*replication.Status, error) {
	started, failed, p, s := e.roles.running()
	switch {
	case !started:
		return &replication.Status{State: replication.Idle, ConnectionState: replication.ConnShutdown, LastError: failed}, nil
	case p != nil:
		return e.primaryStatus(ctx, p), nil
	case s != nil:
		return secondaryStatus(s), nil
	default:
		return &replication.Status{State: replication.Idle, ConnectionState: replication.ConnIdle}, nil
	}
}

func (e *Engine) primaryStatus(ctx context.Context, p *primaryRole) *replication.Status {
	st := &replication.Status{
		State:              replication.Running,
		ConnectionState:    replication.ConnReady,
		PrimaryClusterAddr: p.authority.PrimaryClusterAddr(),
		KnownSecondaries:   p.registry.IDs(),
		Secondaries:        withAbsent(p.server.Peers(), p.registry.IDs()),
		FailoverAddrs:      p.server.FailoverAddrs(),
		LastError:          p.server.Twins(),
	}
	// Missing addresses are no reason to fail, nor to wait for a host whose storage hangs.
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	if node, err := e.host.Node(ctx); err == nil {
		st.KnownPrimaryClusterAddrs = link.MergeAddresses([]string{st.PrimaryClusterAddr, node.ClusterAddr},
			node.ClusterAddrs)
	}
	return st
}

// withAbsent adds the registered secondaries that have not connected since this primary was started, so that the list
// shows that they are away.
func withAbsent(peers []replication.Peer, ids []string) []replication.Peer {
	for _, id := range ids {
		if !slices.ContainsFunc(peers, func(p replication.Peer) bool { return p.NodeID == id }) {
			peers = append(peers, replication.Peer{NodeID: id})
		}
	}
	slices.SortFunc(peers, func(a, b replication.Peer) int { return strings.Compare(a.NodeID, b.NodeID) })
	return peers
}

func secondaryStatus(s *secondaryRole) *replication.Status {
	if s.contested {
		return &replication.Status{State: replication.Idle, ConnectionState: replication.ConnIdle,
			SecondaryID: s.bundle.SecondaryID, LastError: contestedSecondary}
	}
	if s.client == nil {
		return &replication.Status{
			State: replication.Idle, ConnectionState: replication.ConnIdle,
			LastError: "this secondary has no primary: use update-primary with a token of the primary, or promote it",
		}
	}
	now := s.client.Snapshot()
	st := &replication.Status{
		State:                    now.State,
		ConnectionState:          now.Connection,
		PrimaryClusterAddr:       now.Address,
		KnownPrimaryClusterAddrs: now.Known,
		SecondaryID:              s.bundle.SecondaryID,
		LastStart:                now.LastStart,
		SyncProgress:             now.SyncProgress,
		SyncTotal:                now.SyncTotal,
		LastError:                now.LastError,
		FailoverAddrs:            now.Failover,
	}
	if !now.LastStart.IsZero() {
		st.Primaries = []replication.Peer{{
			APIAddress: now.Node.APIAddr, ClusterAddress: now.Node.ClusterAddr, Connected: now.Connected,
			LastHeartbeat: now.LastHeartbeat, LastHeartbeatDuration: now.RoundTrip,
			ClockSkew: now.Skew, CanaryAge: now.CanaryAge,
		}}
	}
	return st
}
