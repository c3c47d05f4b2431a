// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// HashiCorp's own helpers for performance replication, unchanged.
func TestPerformanceConformanceWithTestcluster(t *testing.T) {
	parallel(t)
	primary, secondary := clusters(t, cluster.Options{Shares: 3, Threshold: 2})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, testcluster.SetupTwoClusterPerfReplication(ctx, primary, secondary))
	require.NoError(t, testcluster.WaitForPerfReplicationConnectionStatus(ctx, secondary.Nodes()[0].APIClient()))
	// The helper's own wait for positions accepts roots that differ.
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
}
