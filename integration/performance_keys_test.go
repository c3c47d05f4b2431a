// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A performance secondary that cannot follow the keys of its primary asks for them,
// and keeps what is its own: tokens, leases, local mounts.
func TestPerformanceSecondaryAsksForKeysThatItCannotFollow(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	put(t, secondary, "sys/mounts/mine", map[string]any{"type": "kv", "local": true})
	put(t, secondary, "mine/a", map[string]any{"v": "own"})
	put(t, primary, "kv/a", map[string]any{"v": "first"})
	eventually(t, secondary, "kv/a", "v", "first")

	require.NoError(t, secondary.Stop(ctx, false))
	sys := primary.Node(0).APIClient().Sys()
	require.NoError(t, sys.RotateWithContext(ctx))
	require.NoError(t, primary.Rekey(ctx, 3, 2))
	require.NoError(t, sys.RotateWithContext(ctx))
	put(t, primary, "kv/a", map[string]any{"v": "under the new keys"})
	require.NoError(t, primary.Restart(ctx, true))
	require.NoError(t, secondary.Node(0).Start(ctx))
	require.NoError(t, secondary.Unseal(ctx), "its shares open it")
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitPerformance(ctx, "has the primary's keys",
		func(s *cluster.PerformanceStatus) error {
			p, err := primary.Node(0).PerformanceStatus(ctx)
			switch {
			case err != nil:
				return err
			case s.State != "stream-wals" || s.LastError != "" || s.MerkleRoot != p.MerkleRoot:
				return fmt.Errorf("the primary has %s", p.MerkleRoot)
			}
			return nil
		}))
	// Its root token is its own.
	token := secondary.GetRootToken()
	secondary.Adopt(primary)
	secondary.SetRootToken(token)
	for _, when := range []string{"in place", "after a restart"} {
		if when == "after a restart" {
			require.NoError(t, secondary.Restart(ctx, false), "the primary's shares open it")
			require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
		}
		eventually(t, secondary, "kv/a", "v", "under the new keys")
		eventually(t, secondary, "mine/a", "v", "own")
		put(t, secondary, "kv/b", map[string]any{"v": when})
		eventually(t, primary, "kv/b", "v", when)
	}
}
