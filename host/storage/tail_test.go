// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func tailOf(t *testing.T, tap *storage.Tap) (from, to uint64, keys []string) {
	t.Helper()
	tail, err := tap.Tail(testContext(t), dr)
	require.NoError(t, err)
	return tail.From, tail.To, slices.Sorted(maps.Keys(tail.Keys))
}

// A tail has exactly the keys that were written after the positions that the slots have acknowledged, over terms and
// crashes.
func TestTail(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner)
		put(t, tap, "sys/policy/before", "1")
		from, to, keys := tailOf(t, tap)
		require.Equal(t, []uint64{1, 1}, []uint64{from, to}, "without a slot nothing is known")
		require.Empty(t, keys)

		at, err := tap.OpenSlot(ctx, dr, "near")
		require.NoError(t, err)
		put(t, tap, "sys/policy/a", "1")
		put(t, tap, "sys/policy/b", "1")
		put(t, tap, "core/hsm/iv", "own")
		del(t, tap, "sys/policy/a")
		_, to, keys = tailOf(t, tap)
		require.Equal(t, []string{"sys/policy/a", "sys/policy/b"}, keys)

		at.Sequence = to - 1
		require.NoError(t, tap.AckSlot(ctx, dr, "near", at))
		from, _, keys = tailOf(t, tap)
		require.Equal(t, at.Sequence, from)
		require.Equal(t, []string{"sys/policy/a"}, keys)

		// The process is killed, and the next one goes on in a term of its own.
		tap = newPrimary(t, inner)
		put(t, tap, "sys/policy/c", "1")
		_, to, keys = tailOf(t, tap)
		require.Subset(t, keys, []string{"sys/policy/a", "sys/policy/c"})
		require.Equal(t, watermark(t, tap).Sequence, to)
		tail, err := tap.Tail(ctx, dr)
		require.NoError(t, err)
		require.True(t, tail.Keys["sys/policy/a"].Deleted)
		require.False(t, tail.Keys["sys/policy/c"].Deleted)
		require.Equal(t, to, tail.Keys["sys/policy/c"].Sequence)
		for _, n := range []uint64{at.Sequence, to} {
			has, _ := journal.Has(tail.Terms, replication.Position{Term: journal.TermAt(tail.Terms, n), Sequence: n})
			require.True(t, has, n)
		}
		has, gone := journal.Has(tail.Terms, replication.Position{Term: tail.Terms[0].Term, Sequence: to})
		require.Equal(t, []bool{false, true}, []bool{has, gone}, "not of the term that is over")
		_, err = tap.Tail(ctx, replication.Performance)
		require.Equal(t, replication.Unavailable, replication.KindOf(err))
	})
}
