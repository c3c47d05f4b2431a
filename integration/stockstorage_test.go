// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/content"
)

// Storage of stock Vault starts under this build, replicates, and goes back to
// stock after replication is disabled, with nothing lost either way.
func TestStorageGoesToAndFromStockVault(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			ca := cluster.NewTestCA(t)
			c := cluster.New(t, cluster.Options{Name: "moved", Binary: stock(t), CA: ca, Storage: storage})
			v := &content.Vault{Root: c.Node(0).APIClient(), Notes: map[string]string{}, AuditFile: artifact(t, "audit.log")}
			require.NoError(t, content.Load(ctx, v))
			before, err := content.Snapshot(ctx, v)
			require.NoError(t, err)

			c.Use(product(t))
			require.NoError(t, c.Restart(ctx, true))
			requireSame(t, before, v, "under this build")

			require.NoError(t, c.EnableDRPrimary(ctx))
			other := cluster.New(t, cluster.Options{Name: "other", Binary: product(t), CA: ca, Storage: storage})
			require.NoError(t, other.JoinDR(ctx, c))
			require.NoError(t, other.WaitEqual(ctx, c))
			_, err = v.Root.Logical().WriteWithContext(ctx, cluster.PathPrimaryDisable, nil)
			require.NoError(t, err)
			require.NoError(t, c.Node(0).WaitRole(ctx, "disabled"))
			requireSame(t, before, v, "after replication was disabled")

			c.Use(stock(t))
			require.NoError(t, c.Restart(ctx, true))
			requireSame(t, before, v, "back under stock Vault")
		})
	}
}

func requireSame(t *testing.T, before map[string]any, v *content.Vault, when string) {
	t.Helper()
	now, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err, when)
	require.Empty(t, content.Diff(before, now), when)
}

// Without replication the build is stock Vault to an operator's commands.
func TestWithoutReplicationTheCLIShowsNoDifference(t *testing.T) {
	parallel(t)
	var outputs []string
	for _, binary := range []string{stock(t), product(t)} {
		c := cluster.New(t, cluster.Options{Name: "same", Binary: binary})
		outputs = append(outputs, cliFlow(t, c))
	}
	require.Equal(t, outputs[0], outputs[1])
}

// A cluster of stock nodes is moved in and out node by node, the standbys first, as the documents say. It serves all
// the time with nodes of both kinds.
func TestRaftClusterIsMovedNodeByNode(t *testing.T) {
	parallelAlone(t)
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{Name: "moved", Binary: stock(t), Nodes: 3})
	require.NoError(t, c.WaitVoters(ctx))
	leader, err := c.WaitLeader(ctx)
	require.NoError(t, err)
	write(t, leader.APIClient(), "cubbyhole/a", map[string]any{"n": "first"})
	for _, binary := range []string{product(t), stock(t)} {
		c.Use(binary)
		first, err := c.WaitLeader(ctx)
		require.NoError(t, err)
		for i := range 3 {
			if n := c.Node(i); n != first {
				moveNode(t, c, n)
			}
		}
		require.NoError(t, first.APIClient().Sys().StepDownWithContext(ctx))
		leader, err = c.WaitOtherActive(ctx, first)
		require.NoError(t, err)
		write(t, leader.APIClient(), "cubbyhole/b", map[string]any{"n": filepath.Base(binary)})
		moveNode(t, c, first)
		secret, err := first.APIClient().Logical().ReadWithContext(ctx, "cubbyhole/b")
		require.NoError(t, err)
		require.Equal(t, filepath.Base(binary), secret.Data["n"])
	}
	secret, err := leader.APIClient().Logical().ReadWithContext(ctx, "cubbyhole/a")
	require.NoError(t, err)
	require.Equal(t, "first", secret.Data["n"])
}

// moveNode starts a node of a cluster with the binary that the cluster has now.
func moveNode(t *testing.T, c *cluster.Cluster, n *cluster.Node) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, n.Terminate(ctx))
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Unseal(ctx))
	require.NoError(t, n.WaitUnsealed(ctx))
	require.NoError(t, n.WaitStandby(ctx))
	require.NoError(t, c.WaitVoters(ctx))
}
