// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/hex"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// After a rekey of the primary its new shares open the secondary on every node, and its
// former shares do not. This holds for unseal shares and for recovery shares alone, whether
// the secondary was connected or away.
func TestKeySharesFollowARekey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		performance, primaryAuto, secondaryAuto, away bool
		nodes                                         int
	}{
		"unseal shares, DR, three nodes":                   {nodes: 3},
		"unseal shares, performance, away":                 {performance: true, away: true, nodes: 1},
		"recovery shares, DR, connected, to unseal shares": {primaryAuto: true, nodes: 1},
		"recovery shares, performance, away, to auto-unseal": {performance: true, primaryAuto: true, secondaryAuto: true,
			away: true, nodes: 1},
		"unseal shares, DR, away, to auto-unseal, three nodes": {secondaryAuto: true, away: true, nodes: 3},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			ca := cluster.NewTestCA(t)
			var seal *cluster.TransitSeal
			if test.primaryAuto || test.secondaryAuto {
				seal = sealProvider(t)
			}
			start := func(name string, auto bool, nodes, shares, threshold int) *cluster.Cluster {
				opts := cluster.Options{Name: name, Binary: product(t), CA: ca, Shares: shares, Threshold: threshold, Nodes: nodes}
				if auto {
					opts.Seal = seal
				}
				return cluster.New(t, opts)
			}
			primary, secondary := start("primary", test.primaryAuto, 1, 3, 2), start("secondary", test.secondaryAuto, test.nodes,
				1, 1)
			if test.nodes > 1 {
				require.NoError(t, secondary.WaitVoters(ctx))
			}
			kind := testcluster.GenerateRootDR
			streams := func() {
				t.Helper()
				if test.performance {
					require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
					return
				}
				require.NoError(t, secondary.WaitEqual(ctx, primary))
			}
			if test.performance {
				kind = testcluster.GenerateRootRegular
				require.NoError(t, primary.EnablePerformancePrimary(ctx))
				require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
			} else {
				require.NoError(t, primary.EnableDRPrimary(ctx))
				require.NoError(t, secondary.JoinDR(ctx, primary))
				if test.nodes > 1 && !test.secondaryAuto {
					requireOpenedAnew(t, secondary)
				}
			}
			streams()
			old := secondary.GetBarrierOrRecoveryKeys()

			if test.away {
				require.NoError(t, secondary.Stop(ctx, true))
			}
			require.NoError(t, primary.Rekey(ctx, 5, 3))
			if test.away {
				for i := range secondary.Nodes() {
					require.NoError(t, secondary.Node(i).Start(ctx))
				}
				require.NoError(t, secondary.Unseal(ctx), "the shares that it had open it")
			}
			require.NoError(t, secondary.TakeShares(ctx, primary, kind))
			require.NoError(t, secondary.RefusesShares(old, kind))
			streams()

			// And again: the shares that were taken over are followed too.
			second := secondary.GetBarrierOrRecoveryKeys()
			require.NoError(t, primary.Rekey(ctx, 3, 2))
			require.NoError(t, secondary.TakeShares(ctx, primary, kind))
			require.NoError(t, secondary.RefusesShares(second, kind))
			streams()
			if !test.secondaryAuto {
				refusesToOpen(t, secondary, old, second)
			}
			require.NoError(t, secondary.Restart(ctx, true), "the shares of now open it")
			streams()
		})
	}
}

// refusesToOpen starts each node anew and gives it shares that are none any more.
func refusesToOpen(t *testing.T, c *cluster.Cluster, shares ...[][]byte) {
	t.Helper()
	for i := range c.Nodes() {
		n := c.Node(i)
		require.NoError(t, n.Terminate(t.Context()))
		require.NoError(t, n.Start(t.Context()))
		for _, keys := range shares {
			for _, key := range keys {
				// Whether it refuses the last one or all that were given is its own affair.
				_, _ = n.Anonymous().Sys().UnsealWithContext(t.Context(), hex.EncodeToString(key))
			}
			status, err := n.Anonymous().Sys().SealStatusWithContext(t.Context())
			require.NoError(t, err)
			require.True(t, status.Sealed, "%s was opened by shares of before a rekey", n.Name())
		}
		_, err := n.Anonymous().Sys().ResetUnsealProcessWithContext(t.Context())
		require.NoError(t, err)
		require.NoError(t, n.Unseal(t.Context()))
	}
	require.NoError(t, c.WaitActive(t.Context()))
}
