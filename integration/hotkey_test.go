// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// differEnv is how many keys differ, 10000 by default; the design asks for 100000.
const differEnv = "VAULT_REPLICATION_DIFFER"

// hotRate is how often a second the one key is written.
const hotRate = 1000

// One key is written a thousand times a second while a comparison fetches very many that
// differ: it ends, there is no second one, and the secondary streams.
func TestHotKeyBesideManyThatDiffer(t *testing.T) {
	parallel(t)
	ctx, keys := t.Context(), 10_000
	if text := os.Getenv(differEnv); text != "" {
		var err error
		keys, err = strconv.Atoi(text)
		require.NoError(t, err, "%s is how many keys differ", differEnv)
	}
	// With more in memory the primary would bring a secondary that is far behind up to
	// date. Vault makes a write of a key wait for the one before it. On a disk that is some
	// hundred a second, so the primary has its storage in memory.
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Storage: cluster.Inmem,
		ExtraHCL: `replication { logshipper_buffer_size = "1MiB" }`}
	primary := cluster.New(t, opts)
	opts.Name, opts.Storage = "secondary", cluster.Raft
	secondary := cluster.New(t, opts)
	client := primary.Node(0).APIClient()
	require.NoError(t, load.Prepare(ctx, client))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	// With next to nothing on the secondary there would be nothing to compare.
	require.NoError(t, load.Fill(ctx, client, keys, "a"))
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	// The secondary has acknowledged other values and gets back its storage from before
	// them. The journal no longer has them.
	require.NoError(t, secondary.Stop(ctx, true))
	bringBack := saveData(t, secondary.Node(0))
	require.NoError(t, secondary.Restart(ctx, true))
	begun := time.Now()
	require.NoError(t, load.Fill(ctx, client, keys, "b"))
	filled := time.Since(begun)
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, primary.Node(0).WaitDR(ctx, "has forgotten the rows", func(s *cluster.DRStatus) error {
		if len(s.Slots) != 1 || s.Slots[0].RetainedBytes > 64<<10 {
			return errors.New("not yet")
		}
		return nil
	}))
	require.NoError(t, secondary.Stop(ctx, true))
	bringBack()

	offset, err := secondary.Node(0).LogSize()
	require.NoError(t, err)
	hot := load.StartHot(ctx, client, hotRate)
	t.Cleanup(func() { _ = hot.Stop() })
	awaitHot(t, hot, hotRate/2)
	require.NoError(t, secondary.Restart(ctx, true))
	begun = time.Now()
	from, _ := hot.Written()
	most := awaitDiff(t, secondary.Node(0), offset, keys)
	took := time.Since(begun)
	until, _ := hot.Written()
	during := float64(until-from) / took.Seconds()

	// It keeps up with the key, and what is acknowledged now is there.
	at, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "has what the primary had when the comparison ended",
		func(s *cluster.DRStatus) error {
			if s.State != "stream-wals" || s.LastRemoteWAL < at.LastDRWAL {
				return fmt.Errorf("%s at %d of %d", s.State, s.LastRemoteWAL, at.LastDRWAL)
			}
			return nil
		}))
	caught := time.Since(begun)
	awaitHot(t, hot, hotRate)
	require.NoError(t, hot.Stop())
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	log, err := secondary.Node(0).LogFrom(offset)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(log), ": this cluster has the primary's content"), "one comparison")
	require.Equal(t, 1, strings.Count(string(log), "compared=true"), "and no copy")
	require.NotContains(t, string(log), "copying the primary's content")
	require.GreaterOrEqual(t, most, uint64(keys)/2, "many differed")
	t.Logf("%d keys written in %s; up to %d seen to differ, streaming %s after the start, caught up after %s, one key "+
		"written %.0f times a second meanwhile",
		keys, filled.Round(time.Millisecond), most, took.Round(time.Millisecond), caught.Round(time.Millisecond), during)
}

// awaitHot waits until the key was written so many times more.
func awaitHot(t *testing.T, hot *load.Hot, times int64) {
	t.Helper()
	before, _ := hot.Written()
	cluster.Eventually(t, limit, "the key is written", func(context.Context) error {
		if now, _ := hot.Written(); now < before+times {
			return fmt.Errorf("%d times of %d", now-before, times)
		}
		return nil
	})
}

// awaitDiff waits until the secondary streams after a comparison, and says how many keys
// its status has shown to differ.
func awaitDiff(t *testing.T, n *cluster.Node, offset int64, keys int) (most uint64) {
	t.Helper()
	cluster.Eventually(t, limit/2*time.Duration(1+keys/10_000), "the comparison has ended and the secondary streams",
		func(ctx context.Context) error {
			log, err := n.LogFrom(offset)
			if err != nil {
				return err
			}
			s, err := n.DRStatus(ctx)
			if err != nil {
				return err
			}
			if s.State == "merkle-sync" {
				most = max(most, s.Sync.Total)
			}
			if !strings.Contains(string(log), "compared=true") || s.State != "stream-wals" {
				return fmt.Errorf("state %s, %d of %d keys, %s", s.State, s.Sync.Progress, s.Sync.Total, s.LastError)
			}
			return nil
		})
	return most
}
