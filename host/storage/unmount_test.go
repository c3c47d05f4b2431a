// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A performance secondary gets the table of mounts ahead of the deletions of an engine
// that was unmounted, however late it reads the rows: it revokes leases with what the
// engine has in storage.
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
			at, err := secondary.Cursor(ctx, perf)
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

			secondary = newTap(t, secondary.Inner(), func(o *storage.Options) { o.Alone = func(key string) bool { return key == "core/mounts" } })
			secondary.Classes().SetMounts(sm)
			table := "with"
			secondary.OnApplied(func(_ context.Context, keys []string) {
				if slices.Contains(keys, "core/mounts") {
					table = get(t, secondary.Inner(), "core/mounts")
					setTable(t, sm, "core/mounts")
				}
				if slices.ContainsFunc(keys, func(k string) bool {
					return strings.HasPrefix(k, "logical/kv/") && get(t, secondary.Inner(), k) == "<none>"
				}) {
					require.NotEqual(t, "with", table, "%v was deleted before the table that says so", keys)
				}
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
					require.GreaterOrEqual(t, f.ConsistentFrom, rows[len(rows)-1].Sequence, "what is ahead of its row is not consistent before it")
				}
				c, err = secondary.ApplyFrame(ctx, perf, f)
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
