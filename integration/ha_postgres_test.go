// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Two nodes on one PostgreSQL are a cluster: a lock with a time to live elects the active
// one, and nothing keeps a deposed one from writing. Both sides are such clusters here.
func TestTheActiveNodeMovesOnSharedStorage(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	db := postgres.New(t)
	ca := cluster.NewTestCA(t)
	start := func(name string) *cluster.Cluster {
		return cluster.New(t, cluster.Options{
			Name: name, Binary: product(t), CA: ca, Storage: cluster.PostgreSQL, Tables: db.VaultTables(t, name), Nodes: 2,
		})
	}
	c := &moving{primary: start("primary"), secondary: start("secondary"), known: 2}
	require.NoError(t, load.Prepare(ctx, c.primary.Node(0).APIClient()))
	require.NoError(t, c.primary.EnableDRPrimary(ctx))
	token, err := c.primary.ActivationToken(ctx, "secondary")
	require.NoError(t, err)
	// Either node may have got the lock.
	joining, standby := c.leader(t, c.secondary), c.secondary.Node(0)
	if joining == standby {
		standby = c.secondary.Node(1)
	}
	write(t, standby.APIClient(), cluster.PathSecondaryEnable, map[string]any{"token": token, "ca_file": ca.File})
	c.secondary.Adopt(c.primary)
	require.NoError(t, standby.WaitSealed(ctx))
	require.NoError(t, standby.Unseal(ctx))
	require.NoError(t, joining.WaitStreaming(ctx))
	c.write(t)
	c.follows(t, "all is well")

	active := c.leader(t, c.primary)
	require.NoError(t, active.APIClient().Sys().StepDownWithContext(ctx))
	c.moved(t, c.primary, active)
	c.follows(t, "the primary's active node stepped down")

	active = c.leader(t, c.primary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, c.primary, active)
	c.back(t, active)
	c.follows(t, "the primary's active node was killed")

	active = c.leader(t, c.secondary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, c.secondary, active)
	c.back(t, active)
	c.follows(t, "the secondary's active node was killed")

	// It goes on with what it had begun when another leads already.
	active = c.leader(t, c.primary)
	require.NoError(t, active.Freeze())
	c.moved(t, c.primary, active)
	require.NoError(t, active.Thaw())
	require.NoError(t, active.WaitStandby(ctx))
	c.follows(t, "the primary's active node stood still")

	c.writers.Stop()
	t.Logf("%d writes were acknowledged, %d attempts were not", c.writers.Acknowledged(), c.writers.Failed())
	c.equal(t)
	// The secondary may have followed the deposed leader further than the next one knew.
	require.LessOrEqual(t, c.copies(t), 2, "the first copy, and one comparison for what was slipped in")
}
