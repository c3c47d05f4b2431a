// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// The secondary keeps its own kind of seal and takes over the primary's shares:
// as unseal keys with Shamir, as recovery keys with auto-unseal.
func TestSealsOfPrimaryAndSecondaryMayDiffer(t *testing.T) {
	t.Parallel()
	for name, transit := range map[string]struct{ primary, secondary bool }{
		"shamir to auto": {secondary: true},
		"auto to shamir": {primary: true},
		"auto to auto":   {primary: true, secondary: true},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			seal := sealProvider(t)
			ca := cluster.NewTestCA(t)
			start := func(name string, auto bool, shares, threshold int) *cluster.Cluster {
				opts := cluster.Options{Name: name, Binary: product(t), CA: ca, Shares: shares, Threshold: threshold}
				if auto {
					opts.Seal = seal
				}
				return cluster.New(t, opts)
			}
			primary := start("primary", transit.primary, 5, 3)
			secondary := start("secondary", transit.secondary, 1, 1)
			require.NoError(t, primary.EnableDRPrimary(ctx))
			require.NoError(t, secondary.JoinDR(ctx, primary))
			require.NoError(t, secondary.WaitEqual(ctx, primary))

			require.NoError(t, secondary.Restart(ctx, true))
			requireSecondary(t, secondary)
			status, err := secondary.Node(0).Anonymous().Sys().SealStatusWithContext(ctx)
			require.NoError(t, err)
			require.Equal(t, 5, status.N)
			require.Equal(t, 3, status.T)

			require.NoError(t, primary.Stop(ctx, false))
			require.NoError(t, secondary.Promote(ctx), "the primary's shares make the DR operation token")
			_, err = secondary.Node(0).APIClient().Sys().ListMountsWithContext(ctx)
			require.NoError(t, err)
		})
	}
}
