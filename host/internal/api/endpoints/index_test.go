// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestReindex(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	f.controller.roles = map[replication.Mode]replication.Role{replication.DR: replication.Primary,
		replication.Performance: replication.Secondary}
	for path, want := range map[string][]string{
		"replication/reindex":                  {"reindex-dr-true", "reindex-performance-true"},
		"replication/dr/reindex":               {"reindex-dr-true"},
		"replication/performance/reindex":      {"reindex-performance-true"},
		"replication/merkle-check":             {"check-dr", "check-performance"},
		"replication/performance/merkle-check": {"check-performance"},
	} {
		f.controller.calls = nil
		resp, _, err := f.update(t, path, map[string]any{"force": true, "diff": true, "skip_flush": true})
		require.NoError(t, err, path)
		require.Equal(t, want, f.controller.calls, path)
		if resp.Data != nil {
			report := resp.Data["merkle_corruption_report"].(map[string]any)
			require.Equal(t, true, report["corrupted_root"])
			tree := report["corrupted_tree_map"].(map[string]any)["1"].(map[string]any)
			require.Equal(t, "AQ==", tree["root_hash"])
			require.Contains(t, tree["corrupted_index_tuples_map"], "3")
		}
	}
	f.controller.roles = nil
	for _, path := range []string{"replication/reindex", "replication/merkle-check"} {
		_, status, err := f.update(t, path, nil)
		require.Equal(t, 400, status)
		require.ErrorContains(t, err, "replication is not enabled on this cluster")
	}
}

// A DR secondary has no tokens of its own: these take a DR operation token.
func TestReindexOfADRSecondaryNeedsItsToken(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"replication/dr/secondary/reindex", "replication/dr/secondary/merkle-check"} {
		f := decorated(t, replication.Secondary)
		_, status, err := f.update(t, path, map[string]any{"dr_operation_token": "dro.bad"})
		require.Equal(t, 403, status, path)
		require.Error(t, err)
		require.Empty(t, f.controller.calls)
		_, _, err = f.update(t, path, map[string]any{"dr_operation_token": "dro.good"})
		require.NoError(t, err)
		require.Len(t, f.controller.calls, 1)
	}
}
