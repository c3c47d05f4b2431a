// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A primary whose seal is migrated to auto-unseal, which makes a new root key before
// the node leads, and back is followed by a secondary that streams, without a copy. Its
// shares open it after each step.
func TestSecondaryFollowsAMigrationOfTheSeal(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			seal := sealProvider(t)
			k := newKeyed(t, cluster.Options{Storage: storage, Shares: 3, Threshold: 2})
			k.requireStreaming(t)
			for _, to := range []*cluster.TransitSeal{seal, nil} {
				require.NoError(t, k.primary.MigrateSeal(t.Context(), to))
				k.requireStreaming(t)
				k.rotate(t, 1)
				k.requireStreaming(t)
				k.takesShares(t)
				k.restart(t, false)
				k.requireStreaming(t)
			}
			k.rekey(t, 1, 1)
			k.requireStreaming(t)
			k.takesShares(t)
			require.Equal(t, 1, copiesOf(t, k.secondary), "the first copy is the only one")
			k.failOver(t, 3)
		})
	}
}

// copied is what a secondary logs when a copy has ended.
const copied = ": this cluster has the primary's content"

// copiesOf counts how often a secondary has compared or copied.
func copiesOf(t *testing.T, c *cluster.Cluster) (n int) {
	t.Helper()
	for i := range c.Nodes() {
		log, err := os.ReadFile(c.Node(i).LogFile())
		require.NoError(t, err)
		n += strings.Count(string(log), copied)
	}
	return n
}

// A secondary that was away for a migration to auto-unseal and back, with rotations and
// a rekey between them, and for longer than the records are kept by which standbys
// follow a rotation, has all of it when it comes back.
func TestSecondaryFollowsSealsMigratedWhileItWasDown(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	seal := sealProvider(t)
	k := newKeyed(t, cluster.Options{ExtraHCL: "raw_storage_endpoint = true"})
	k.requireStreaming(t)
	k.away(t, func() {
		require.NoError(t, k.primary.MigrateSeal(ctx, seal))
		k.rotate(t, 2)
		require.NoError(t, k.primary.MigrateSeal(ctx, nil))
		k.rekey(t, 3, 2)
		k.rotate(t, 1)
		k.dropUpgrades(t)
		require.NoError(t, k.primary.Restart(ctx, true))
	}, func() {
		k.requireStreaming(t)
		// It has asked for the keys, and has the shares with them.
		k.takesShares(t)
	})
	k.failOver(t, 4)
}

// dropUpgrades ends the grace period of rotations now: it deletes what Vault deletes
// two minutes after each.
func (k *keyed) dropUpgrades(t *testing.T) {
	t.Helper()
	logical := k.primary.Node(0).APIClient().Logical()
	list, err := logical.ListWithContext(t.Context(), "sys/raw/core/upgrade")
	require.NoError(t, err)
	require.NotNil(t, list)
	names := list.Data["keys"].([]any)
	require.NotEmpty(t, names)
	for _, name := range names {
		_, err := logical.DeleteWithContext(t.Context(), "sys/raw/core/upgrade/"+name.(string))
		require.NoError(t, err)
	}
}
