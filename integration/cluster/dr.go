// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// The paths of DR replication that tests and the demo use.
const (
	PathStatus            = "sys/replication/dr/status"
	PathPrimaryEnable     = "sys/replication/dr/primary/enable"
	PathPrimaryDemote     = "sys/replication/dr/primary/demote"
	PathPrimaryDisable    = "sys/replication/dr/primary/disable"
	PathSecondaryToken    = "sys/replication/dr/primary/secondary-token"
	PathRevokeSecondary   = "sys/replication/dr/primary/revoke-secondary"
	PathSecondaryEnable   = "sys/replication/dr/secondary/enable"
	PathSecondaryPromote  = "sys/replication/dr/secondary/promote"
	PathSecondaryDisable  = "sys/replication/dr/secondary/disable"
	PathUpdatePrimary     = "sys/replication/dr/secondary/update-primary"
	PathOperationTokenDel = "sys/replication/dr/secondary/operation-token/delete"
)

// DRStatus is the body of sys/replication/dr/status.
type DRStatus struct {
	Mode            string            `json:"mode"`
	State           string            `json:"state"`
	ClusterID       string            `json:"cluster_id"`
	MerkleRoot      string            `json:"merkle_root"`
	LastWAL         uint64            `json:"last_wal"`
	LastDRWAL       uint64            `json:"last_dr_wal"`
	LastRemoteWAL   uint64            `json:"last_remote_wal"`
	ConnectionState string            `json:"connection_state"`
	SecondaryID     string            `json:"secondary_id"`
	LastError       string            `json:"last_error"`
	Sync            Sync              `json:"merkle_sync_progress"`
	Primary         string            `json:"primary_cluster_addr"`
	KnownPrimaries  []string          `json:"known_primary_cluster_addrs"`
	KnownSecondary  []string          `json:"known_secondaries"`
	Secondaries     []api.ClusterInfo `json:"secondaries"`
	Primaries       []api.ClusterInfo `json:"primaries"`
	Slots           []Slot            `json:"slots"`
	Consistent      bool              `json:"consistent"`
	MissingKeys     uint64            `json:"missing_keys"`
}

// Sync is how far a copy or a comparison is.
type Sync struct {
	Progress uint64 `json:"sync_progress"`
	Total    uint64 `json:"sync_total_keys"`
}

// Slot is what a primary retains for a secondary.
type Slot struct {
	ID            string `json:"id"`
	State         string `json:"state"`
	Reason        string `json:"reason"`
	RetainedBytes uint64 `json:"retained_bytes"`
	RetainedAge   int64  `json:"retained_age_seconds"`
}

// DRStatus reads the node's DR status.
func (n *Node) DRStatus(ctx context.Context) (*DRStatus, error) {
	secret, err := n.readStatus(ctx, PathStatus)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(secret.Data)
	if err != nil {
		return nil, err
	}
	var status DRStatus
	return &status, json.Unmarshal(raw, &status)
}

// readStatus reads a status without a token. Where there are tokens, which a DR secondary
// has not, it reads it again with one to get the details.
func (n *Node) readStatus(ctx context.Context, path string) (*api.Secret, error) {
	secret, err := n.Anonymous().Logical().ReadWithContext(ctx, path)
	if err == nil && secret != nil && (secret.Data["mode"] == "primary" || path != PathStatus &&
		secret.Data["mode"] == "secondary") {
		secret, err = n.APIClient().Logical().ReadWithContext(ctx, path)
	}
	if err == nil && secret == nil {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return secret, err
}

// WaitDR waits until the DR status is accepted.
func (n *Node) WaitDR(ctx context.Context, what string, accept func(*DRStatus) error) error {
	ctx, cancel := within(ctx)
	defer cancel()
	return Wait(ctx, n.Name()+" "+what, func(ctx context.Context) error {
		status, err := n.DRStatus(ctx)
		if err != nil {
			return n.alive(err)
		}
		if err := accept(status); err != nil {
			return fmt.Errorf("%w (status %+v)", err, *status)
		}
		return nil
	})
}

// WaitRole waits until the node shows a DR role and serves in it.
func (n *Node) WaitRole(ctx context.Context, mode string) error {
	return n.WaitDR(ctx, "is DR "+mode, func(s *DRStatus) error {
		if s.Mode != mode {
			return fmt.Errorf("mode is %q", s.Mode)
		}
		health, err := n.Health(ctx)
		switch {
		case err != nil:
			return err
		case health.Sealed || health.Standby:
			return errors.New("not active yet")
		}
		return nil
	})
}

// WaitStreaming waits until the secondary applies live rows.
func (n *Node) WaitStreaming(ctx context.Context) error {
	return n.WaitDR(ctx, "streams", func(s *DRStatus) error {
		if s.State != "stream-wals" {
			return fmt.Errorf("state is %q", s.State)
		}
		return nil
	})
}

// EnableDRPrimary makes the cluster a DR primary.
func (c *Cluster) EnableDRPrimary(ctx context.Context) error {
	n, err := c.WaitLeader(ctx)
	if err != nil {
		return err
	}
	if _, err := n.APIClient().Logical().WriteWithContext(ctx, PathPrimaryEnable, nil); err != nil {
		return err
	}
	return n.WaitRole(ctx, "primary")
}

// ActivationToken makes an activation token on a DR primary.
func (c *Cluster) ActivationToken(ctx context.Context, id string) (string, error) {
	secret, err := c.nodes[0].APIClient().Logical().WriteWithContext(ctx, PathSecondaryToken, map[string]any{"id": id})
	if err != nil {
		return "", err
	}
	if secret == nil || secret.WrapInfo == nil {
		return "", errors.New("secondary-token answered without wrap_info")
	}
	return secret.WrapInfo.Token, nil
}

// JoinDR makes the cluster a DR secondary of a primary that shares its CA, and
// waits until it streams. It takes over the primary's shares and root token.
func (c *Cluster) JoinDR(ctx context.Context, primary *Cluster) error {
	token, err := primary.ActivationToken(ctx, c.ClusterID())
	if err != nil {
		return err
	}
	_, err = c.nodes[0].APIClient().Logical().WriteWithContext(ctx, PathSecondaryEnable, map[string]any{
		"token": token, "ca_file": primary.GetCACertPEMFile(),
	})
	if err != nil {
		return err
	}
	c.Adopt(primary)
	if err := c.nodes[0].WaitRole(ctx, "secondary"); err != nil {
		return err
	}
	return c.nodes[0].WaitStreaming(ctx)
}

// RejoinDR lets a DR secondary that was demoted follow a primary of its set, under an id of
// its own, and waits until it streams. Both clusters share a CA.
func (c *Cluster) RejoinDR(ctx context.Context, primary *Cluster, id string) error {
	token, err := primary.ActivationToken(ctx, id)
	if err != nil {
		return err
	}
	operation, err := c.OperationToken()
	if err != nil {
		return err
	}
	n := c.nodes[0]
	_, err = n.Anonymous().Logical().WriteWithContext(ctx, PathUpdatePrimary, map[string]any{
		"dr_operation_token": operation, "token": token, "ca_file": primary.GetCACertPEMFile(),
	})
	if err != nil {
		return err
	}
	return n.WaitStreaming(ctx)
}

// Adopt takes over the shares and the root token of the primary, by the rules
// for Shamir and auto-unseal.
func (c *Cluster) Adopt(primary *Cluster) {
	keys := primary.GetBarrierOrRecoveryKeys()
	c.SetBarrierKeys(keys)
	c.SetRecoveryKeys(keys)
	c.opts.Threshold = primary.opts.Threshold
	c.SetRootToken(primary.GetRootToken())
}

// WaitEqual waits until the secondary's fingerprint is the primary's.
func (c *Cluster) WaitEqual(ctx context.Context, primary *Cluster) error {
	return c.nodes[0].WaitDR(ctx, "equals the primary", func(s *DRStatus) error {
		p, err := primary.nodes[0].DRStatus(ctx)
		if err != nil {
			return err
		}
		if p.MerkleRoot == "" || p.MerkleRoot != s.MerkleRoot {
			return fmt.Errorf("primary has %q", p.MerkleRoot)
		}
		return nil
	})
}
