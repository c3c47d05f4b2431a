// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// moving is a DR primary and its DR secondary, of several nodes each, under load.
type moving struct {
	primary, secondary *cluster.Cluster
	// known is how many nodes of the primary the secondary is to know.
	known   int
	writers *load.Steady
}

// The active node moves, on either side, by step-down, kill -9 and standstill, while
// clients write to all nodes of the primary: each time the stream goes on from its
// position, no copy is made, and no acknowledged write is missing.
func TestTheActiveNodeMovesUnderLoad(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := threeNodes(t)
	c := &moving{primary: primary, secondary: secondary, known: 3}
	require.NoError(t, primary.WaitVoters(ctx))
	require.NoError(t, secondary.WaitVoters(ctx))
	require.NoError(t, load.Prepare(ctx, primary.Node(0).APIClient()))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	requireOpenedAnew(t, secondary)
	c.write(t)
	c.follows(t, "all is well")

	active := c.leader(t, primary)
	require.NoError(t, active.APIClient().Sys().StepDownWithContext(ctx))
	c.moved(t, primary, active)
	c.follows(t, "the primary's active node stepped down")

	active = c.leader(t, primary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, primary, active)
	c.follows(t, "the primary's active node was killed")
	c.back(t, active)

	active = c.leader(t, secondary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, secondary, active)
	c.follows(t, "the secondary's active node was killed")
	c.back(t, active)

	// The one that stands still goes on in the middle of what it did, as a leader that
	// does not know that it is none any more.
	active = c.leader(t, primary)
	require.NoError(t, active.Freeze())
	c.moved(t, primary, active)
	c.follows(t, "the primary's active node stood still")
	require.NoError(t, active.Thaw())
	require.NoError(t, active.WaitStandby(ctx))
	c.follows(t, "the deposed one is a standby")

	// The address that the activation token named is gone, and the secondary starts cold.
	require.NoError(t, primary.Node(0).Kill(ctx))
	c.moved(t, primary, primary.Node(0))
	require.NoError(t, secondary.Stop(ctx, false))
	for i := range 3 {
		require.NoError(t, secondary.Node(i).Start(ctx))
		require.NoError(t, secondary.Node(i).Unseal(ctx))
	}
	c.follows(t, "the node of the token is gone and the secondary was restarted")

	c.writers.Stop()
	t.Logf("%d writes were acknowledged, %d attempts were not", c.writers.Acknowledged(), c.writers.Failed())
	c.equal(t)
	require.Equal(t, 1, c.copies(t), "the first copy is the only one")

	require.NoError(t, primary.Stop(ctx, false))
	token, err := testcluster.GenerateRoot(secondary, testcluster.GenerateRootDR)
	require.NoError(t, err)
	write(t, secondary.Node(2).Anonymous(), cluster.PathSecondaryPromote, map[string]any{"dr_operation_token": token})
	for i := range 3 {
		n := secondary.Node(i)
		cluster.Eventually(t, limit, n.Name()+" serves what was acknowledged", func(ctx context.Context) error {
			return c.writers.Missing(ctx, n.APIClient())
		})
	}
}

// write begins the load.
func (c *moving) write(t *testing.T) {
	var nodes []*api.Client
	for i := range c.primary.Nodes() {
		nodes = append(nodes, c.primary.Node(i).APIClient())
	}
	c.writers = load.StartSteady(t.Context(), nodes, 4)
	t.Cleanup(c.writers.Stop)
}

// equal asserts, once the load has ended, that nothing that was acknowledged is missing
// and that both sides hold the same.
func (c *moving) equal(t *testing.T) {
	t.Helper()
	require.NoError(t, c.writers.Missing(t.Context(), c.leader(t, c.primary).APIClient()))
	c.same(t)
}

// same waits until both sides hold the same.
func (c *moving) same(t *testing.T) {
	t.Helper()
	var differ error
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := cluster.Wait(ctx, "both hold the same", func(ctx context.Context) error {
		p, s, err := c.statuses(ctx)
		if err == nil && (p.MerkleRoot == "" || p.MerkleRoot != s.MerkleRoot) {
			err = fmt.Errorf("%q and %q", p.MerkleRoot, s.MerkleRoot)
			differ = err
		}
		return err
	})
	require.NoError(t, err, "they were last %v", differ)
}

func (c *moving) leader(t *testing.T, of *cluster.Cluster) *cluster.Node {
	t.Helper()
	n, err := of.WaitLeader(t.Context())
	require.NoError(t, err)
	return n
}

func (c *moving) moved(t *testing.T, of *cluster.Cluster, from *cluster.Node) {
	t.Helper()
	_, err := of.WaitOtherActive(t.Context(), from)
	require.NoError(t, err)
}

// back starts a node again that was killed.
func (c *moving) back(t *testing.T, n *cluster.Node) {
	t.Helper()
	require.NoError(t, n.Start(t.Context()))
	require.NoError(t, n.Unseal(t.Context()))
	require.NoError(t, n.WaitStandby(t.Context()))
}

// statuses returns the status of both sides, from the nodes that lead.
func (c *moving) statuses(ctx context.Context) (primary, secondary *cluster.DRStatus, err error) {
	status := func(of *cluster.Cluster) (*cluster.DRStatus, error) {
		n, err := of.WaitLeader(ctx)
		if err != nil {
			return nil, err
		}
		return n.DRStatus(ctx)
	}
	if primary, err = status(c.primary); err != nil {
		return nil, nil, err
	}
	secondary, err = status(c.secondary)
	return primary, secondary, err
}

// follows waits until writes are acknowledged and the secondary, which streams, has one
// that the primary made after this was called.
func (c *moving) follows(t *testing.T, when string) {
	t.Helper()
	begun, before := time.Now(), c.writers.Acknowledged()
	cluster.Eventually(t, limit, "writes are acknowledged after "+when, func(context.Context) error {
		if now := c.writers.Acknowledged(); now < before+40 {
			return fmt.Errorf("%d since", now-before)
		}
		return nil
	})
	written := time.Since(begun)
	var at *cluster.DRStatus
	cluster.Eventually(t, limit, "the primary answers after "+when, func(ctx context.Context) (err error) {
		at, _, err = c.statuses(ctx)
		return err
	})
	require.Equal(t, "primary", at.Mode)
	cluster.Eventually(t, limit, "the secondary follows after "+when, func(ctx context.Context) error {
		_, s, err := c.statuses(ctx)
		if err == nil && (s.State != "stream-wals" || s.LastRemoteWAL < at.LastDRWAL || len(s.KnownPrimaries) != c.known) {
			err = fmt.Errorf("%s at %d of %d, knows %v, %s", s.State, s.LastRemoteWAL, at.LastDRWAL, s.KnownPrimaries,
				s.LastError)
		}
		return err
	})
	t.Logf("%s: writes went on after %s, the secondary had them after %s", when, written.Round(time.Millisecond),
		time.Since(begun).Round(time.Millisecond))
}

// copies counts how often the secondary has compared or copied.
func (c *moving) copies(t *testing.T) int {
	t.Helper()
	return copiesOf(t, c.secondary)
}
