// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
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
