// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// When an engine is unmounted, a performance secondary gets the table of mounts before the deletions, however late it
// reads the rows: it needs the engine's storage to revoke leases.
func TestTableIsAheadOfUnmountedStorage(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]int{"one group of rows": 0, "several groups": 150} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			primary, secondary, pm, sm := perfPair(t, newTxn(t), func(o *storage.Options) { o.RingBytes = 1 })
			put(t, primary, "logical/kv/config", "0")
			put(t, primary, "core/mounts", "with")
			catchUp(t, primary, secondary)
			at, err := secondary.Secondary(perf).Cursor(ctx)
			require.NoError(t, err)

			put(t, primary, "logical/kv/config", "1")
			put(t, primary, "logical/kv/role", "1")
			for range idle {
				put(t, primary, "logical/pki/role/a", "x")
			}
			put(t, primary, "core/mounts", "marked")
			for range idle {
				put(t, primary, "logical/pki/role/a", "x")
			}
			del(t, primary, "logical/kv/config")
			del(t, primary, "logical/kv/role")
			setTable(t, pm, "core/mounts")
			put(t, primary, "core/mounts", "without")

			secondary = newTap(t, secondary.Inner(),
				func(o *storage.Options) { o.Alone = func(key string) bool { return key == "core/mounts" } })
			secondary.Classes().SetMounts(sm)
			table := "with"
			secondary.OnApplied(func(_ context.Context, keys []string) []string {
				if slices.Contains(keys, "core/mounts") {
					table = get(t, secondary.Inner(), "core/mounts")
					setTable(t, sm, "core/mounts")
				}
				if slices.ContainsFunc(keys, func(k string) bool {
					return strings.HasPrefix(k, "logical/kv/") && get(t, secondary.Inner(), k) == "<none>"
				}) {
					require.NotEqual(t, "with", table, "%v was deleted before the table that says so", keys)
				}
				return nil
			})
			r, err := primary.ReadJournal(ctx, perf, "s", at.Position)
			require.NoError(t, err)
			end, err := primary.Position(perf)
			require.NoError(t, err)
			var c *replication.Cursor
			for done := at.Position.Sequence; done < end.Position.Sequence; {
				f, err := r.Next()
				require.NoError(t, err)
				rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
				require.NoError(t, err)
				if len(rows) > 0 && f.After < end.Position.Sequence-1 {
					require.GreaterOrEqual(t, f.ConsistentFrom, rows[len(rows)-1].Sequence, "what is ahead of its row is not "+
						"consistent before it")
				}
				c, err = secondary.Secondary(perf).ApplyFrame(ctx, f)
				require.NoError(t, err)
				done = f.To.Sequence
			}
			require.True(t, c.Consistent())
			require.Equal(t, "without", table)
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/kv/config"))
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/kv/role"))
		})
	}
}

// Everything below one view is deleted, local or shared, past the guard, and on DR secondaries of this cluster too.
// Keys beside the view stay.
func TestClearView(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f, func(o *storage.Options) { o.Limits = func() (int, int) { return 12, 0 } })
	withMounts(t, tap)
	gone := []string{"logical/pki/role/a/b", "logical/pki/certs/a"} // the second one is local
	for i := range 100 {
		gone = append(gone, fmt.Sprintf("logical/pki/x/%03d", i))
	}
	stay := []string{"logical/pki2/a", "logical/pk/a", "logical/kv/a", "auth/pki/a", "sys/token/id/pki", "core/mounts"}
	for _, k := range append(slices.Clone(gone), stay...) {
		put(t, tap, k, "v")
	}
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	secondary := newTap(t, newTxn(t))
	copyAll(t, tap, secondary, dr, at)
	require.NoError(t, tap.SetGuard(ctx, storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{perf}}))

	for _, prefix := range []string{"", "core/", "logical/", "logical/pki", "sys/token/", "audit"} {
		_, err := tap.ClearView(ctx, prefix)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%q", prefix)
	}
	f.set(failWritesOf("logical/pki/x/050", false), nil)
	n, err := tap.ClearView(ctx, "logical/pki/")
	require.Equal(t, replication.StorageFailed, replication.KindOf(err))
	require.NotZero(t, n)
	f.set(nil, nil)
	rest, err := tap.ClearView(ctx, "logical/pki/")
	require.NoError(t, err)
	require.Equal(t, uint64(len(gone)), n+rest)
	follow(t, tap, secondary, dr, "s", watermark(t, tap).Sequence)
	for _, k := range gone {
		require.Equal(t, "<none>", get(t, f, k), k)
		require.Equal(t, "<none>", get(t, secondary.Inner(), k), k)
	}
	for _, k := range stay {
		require.Equal(t, "v", get(t, f, k), k)
		require.Equal(t, "v", get(t, secondary.Inner(), k), k)
	}
}
