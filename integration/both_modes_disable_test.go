// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Performance replication begins and ends on a DR primary, time and again: its DR secondary
// has the same content and says so, without a comparison.
func TestPerformanceComesAndGoesOnADRPrimary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	put(t, primary, "sys/mounts/kv", map[string]any{"type": "kv"})
	for range 3 {
		require.NoError(t, primary.EnablePerformancePrimary(ctx))
		put(t, primary, cluster.PathPerformance+"primary/secondary-token", map[string]any{"id": "west"})
		put(t, primary, "kv/a", map[string]any{"v": "with"})
		require.NoError(t, secondary.WaitEqual(ctx, primary))
		put(t, primary, cluster.PathPerformance+"primary/disable", nil)
		require.NoError(t, primary.Node(0).WaitPerformance(ctx, "has no role", func(s *cluster.PerformanceStatus) error {
			if s.Mode != "disabled" {
				return errors.New(s.Mode)
			}
			return nil
		}))
		put(t, primary, "kv/a", map[string]any{"v": "without"})
		require.NoError(t, secondary.WaitEqual(ctx, primary))
		require.NoError(t, primary.CheckIndexes(ctx))
		require.NoError(t, secondary.CheckIndexes(ctx))
	}
	for _, c := range []*cluster.Cluster{primary, secondary} {
		log, err := os.ReadFile(c.Node(0).LogFile())
		require.NoError(t, err)
		require.NotContains(t, string(log), "it is compared and mended")
		require.NotContains(t, string(log), "the storage has something else than was written to it")
	}
	require.NoError(t, primary.Restart(ctx, true))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}
