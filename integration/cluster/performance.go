// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
)

// PathPerformance begins the paths of performance replication.
const PathPerformance = "sys/replication/performance/"

// PerformanceStatus is the body of sys/replication/performance/status.
type PerformanceStatus struct {
	Mode               string            `json:"mode"`
	State              string            `json:"state"`
	ClusterID          string            `json:"cluster_id"`
	MerkleRoot         string            `json:"merkle_root"`
	LastWAL            uint64            `json:"last_wal"`
	LastPerformanceWAL uint64            `json:"last_performance_wal"`
	LastRemoteWAL      uint64            `json:"last_remote_wal"`
	ConnectionState    string            `json:"connection_state"`
	SecondaryID        string            `json:"secondary_id"`
	LastError          string            `json:"last_error"`
	Lacks              []string          `json:"lacks"`
	Consistent         bool              `json:"consistent"`
	MissingKeys        uint64            `json:"missing_keys"`
	KnownPrimaries     []string          `json:"known_primary_cluster_addrs"`
	KnownFailover      []string          `json:"known_failover_cluster_addrs"`
	KnownSecondary     []string          `json:"known_secondaries"`
	Secondaries        []api.ClusterInfo `json:"secondaries"`
	Primaries          []api.ClusterInfo `json:"primaries"`
}

// PerformanceStatus reads the node's performance status.
func (n *Node) PerformanceStatus(ctx context.Context) (*PerformanceStatus, error) {
	secret, err := n.readStatus(ctx, PathPerformance+"status")
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(secret.Data)
	if err != nil {
		return nil, err
	}
	var status PerformanceStatus
	return &status, json.Unmarshal(raw, &status)
}

// WaitPerformance waits until the performance status is accepted.
func (n *Node) WaitPerformance(ctx context.Context, what string, accept func(*PerformanceStatus) error) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, n.Name()+" "+what, func(ctx context.Context) error {
		status, err := n.PerformanceStatus(ctx)
		if err != nil {
			return n.alive(err)
		}
		if err := accept(status); err != nil {
			return fmt.Errorf("%w (status %+v)", err, *status)
		}
		return nil
	})
}

// WaitPerformanceRole waits until the node shows a performance role and serves in
// it.
func (n *Node) WaitPerformanceRole(ctx context.Context, mode string) error {
	return n.WaitPerformance(ctx, "is performance "+mode, func(s *PerformanceStatus) error {
		if s.Mode != mode {
			return fmt.Errorf("mode is %q", s.Mode)
		}
		health, err := n.Health(ctx)
		switch {
		case err != nil:
			return err
		case health.Sealed || health.Standby:
			return errors.New("not active yet")
		case health.ReplicationPerformanceMode != mode:
			return fmt.Errorf("sys/health says %q", health.ReplicationPerformanceMode)
		}
		return nil
	})
}

// WaitPerformanceStreaming waits until the secondary serves and applies live rows.
func (n *Node) WaitPerformanceStreaming(ctx context.Context) error {
	if err := n.WaitPerformanceRole(ctx, "secondary"); err != nil {
		return err
	}
	return n.WaitPerformance(ctx, "streams", func(s *PerformanceStatus) error {
		if s.State != "stream-wals" {
			return fmt.Errorf("state is %q", s.State)
		}
		return nil
	})
}

// EnablePerformancePrimary makes the cluster a performance primary.
func (c *Cluster) EnablePerformancePrimary(ctx context.Context) error {
	n, err := c.WaitLeader(ctx)
	if err != nil {
		return err
	}
	if _, err := n.APIClient().Logical().WriteWithContext(ctx, PathPerformance+"primary/enable", nil); err != nil {
		return err
	}
	return n.WaitPerformanceRole(ctx, "primary")
}

// JoinPerformance makes the cluster a performance secondary of a primary that shares its
// CA, under an id, and waits until it streams. It takes over the primary's shares and makes
// a root token of its own with them.
func (c *Cluster) JoinPerformance(ctx context.Context, primary *Cluster, id string) error {
	secret, err := primary.nodes[0].APIClient().Logical().WriteWithContext(ctx, PathPerformance+"primary/secondary-token",
		map[string]any{"id": id})
	if err != nil {
		return err
	}
	_, err = c.nodes[0].APIClient().Logical().WriteWithContext(ctx, PathPerformance+"secondary/enable", map[string]any{
		"token": secret.WrapInfo.Token, "ca_file": primary.GetCACertPEMFile(),
	})
	if err != nil {
		return err
	}
	c.Adopt(primary)
	if err := c.nodes[0].WaitPerformanceStreaming(ctx); err != nil {
		return err
	}
	root, err := testcluster.GenerateRoot(c, testcluster.GenerateRootRegular)
	if err != nil {
		return err
	}
	c.SetRootToken(root)
	return nil
}

// WaitCaughtUp waits until the secondary has applied all that the primary had written at
// the call. It waits as long as the secondary gets nearer.
func (c *Cluster) WaitCaughtUp(ctx context.Context, primary *Cluster) error {
	p, err := primary.nodes[0].PerformanceStatus(ctx)
	if err != nil {
		return err
	}
	for last := uint64(0); ; {
		nearer := false
		err := c.nodes[0].WaitPerformance(ctx, "has caught up", func(s *PerformanceStatus) error {
			if s.LastRemoteWAL >= p.LastPerformanceWAL {
				return nil
			}
			nearer = nearer || s.LastRemoteWAL > last
			last = max(last, s.LastRemoteWAL)
			return fmt.Errorf("the primary was at %d", p.LastPerformanceWAL)
		})
		if err == nil || !nearer || ctx.Err() != nil {
			return err
		}
	}
}
