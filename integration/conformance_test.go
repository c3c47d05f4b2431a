// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// HashiCorp's own helpers, which their Enterprise tests are written with, run
// against this build unchanged.
func TestConformanceWithTestcluster(t *testing.T) {
	t.Parallel()
	promotions := map[string]func(ctx context.Context, primary, secondary testcluster.VaultCluster) error{
		"key shares": func(ctx context.Context, primary, secondary testcluster.VaultCluster) error {
			// It is for a primary that is out of service: beside one that works, force is needed.
			if err := primary.Nodes()[0].APIClient().Sys().SealWithContext(ctx); err != nil {
				return err
			}
			return testcluster.PromoteDRSecondary(ctx, secondary)
		},
		"batch token": testcluster.PromoteDRSecondaryWithBatchToken,
	}
	for name, promote := range promotions {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			primary, secondary := clusters(t, cluster.Options{Shares: 3, Threshold: 2})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			require.NoError(t, testcluster.SetupTwoClusterDRReplication(ctx, primary, secondary))
			require.NoError(t, testcluster.WaitForMatchingMerkleRoots(ctx, "sys/replication/dr/", primary, secondary))
			require.NoError(t, promote(ctx, primary, secondary))
		})
	}
}
