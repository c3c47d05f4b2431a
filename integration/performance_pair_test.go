// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// performancePair starts a performance primary and a secondary that streams from it.
func performancePair(t *testing.T) (primary, secondary *cluster.Cluster) {
	t.Helper()
	primary, secondary = clusters(t, cluster.Options{})
	require.NoError(t, primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, secondary.JoinPerformance(t.Context(), primary, "west"))
	return primary, secondary
}

// write sends a write that must succeed.
func write(t *testing.T, c *api.Client, path string, data map[string]any) *api.Secret {
	t.Helper()
	secret, err := c.Logical().WriteWithContext(t.Context(), path, data)
	require.NoError(t, err, path)
	return secret
}
