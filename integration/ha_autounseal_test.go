// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The standbys of a new secondary with auto-unseal open themselves with the new keys:
// nobody has to come. When the secondary is disabled, which is asked of a standby, all
// nodes serve what the primary had as a cluster of their own, and any of them leads.
func TestAutoUnsealedSecondaryOfThreeNodesIsDisabled(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Shares: 3, Threshold: 2}
	primary := cluster.New(t, opts)
	opts.Name, opts.Nodes, opts.Seal, opts.Shares, opts.Threshold = "secondary", 3, sealProvider(t), 1, 1
	secondary := cluster.New(t, opts)
	require.NoError(t, secondary.WaitVoters(ctx))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	put(t, primary, "cubbyhole/a", map[string]any{"b": "c"})
	require.NoError(t, secondary.JoinDR(ctx, primary))
	requireMode(t, secondary, drMode, "secondary")
	for i := range 3 {
		n := secondary.Node(i)
		require.NoError(t, n.WaitStreaming(ctx), "each node answers the status")
		requireGate(t, n, primary.GetRootToken())
		if i > 0 {
			require.NoError(t, n.WaitStandby(ctx))
			log, err := os.ReadFile(n.LogFile())
			require.NoError(t, err)
			require.Contains(t, string(log), "this standby seals itself")
			require.NotContains(t, string(log), "post-unseal setup starting", "it has not led with the old keys")
		}
	}

	token, err := testcluster.GenerateRoot(secondary, testcluster.GenerateRootDR)
	require.NoError(t, err)
	write(t, secondary.Node(2).Anonymous(), cluster.PathSecondaryDisable, map[string]any{"dr_operation_token": token})
	requireMode(t, secondary, drMode, "disabled")
	serves := func() {
		t.Helper()
		for i := range 3 {
			read := secondary.Node(i).APIClient().Logical()
			cluster.Eventually(t, limit, "each node serves what the primary had", func(ctx context.Context) error {
				secret, err := read.ReadWithContext(ctx, "cubbyhole/a")
				if err == nil && secret == nil {
					err = errors.New("the secret is not there")
				}
				return err
			})
		}
	}
	serves()
	active, err := secondary.WaitLeader(ctx)
	require.NoError(t, err)
	require.NoError(t, active.Kill(ctx))
	other, err := secondary.WaitOtherActive(ctx, active)
	require.NoError(t, err)
	write(t, other.APIClient(), "cubbyhole/own", map[string]any{"b": "c"})
	require.NoError(t, active.Start(ctx))
	require.NoError(t, active.WaitStandby(ctx))
	serves()
	status, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Equal(t, "primary", status.Mode)
}
