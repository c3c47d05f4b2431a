// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// refusesDeletes is storage without transactions that fails deletions, without effect,
// while it is told to.
type refusesDeletes struct {
	physical.Backend
	refuses bool
}

func (r *refusesDeletes) Delete(ctx context.Context, key string) error {
	if r.refuses {
		return errStorage
	}
	return r.Backend.Delete(ctx, key)
}

// A row may be stored although its write was never made: the process ended in between, or the write failed. When a
// later write does the same, the first row looks as if its write had been made. A secondary with the first row and
// without the later one must not claim that it equals a state of the primary.
func TestRowsWhoseWriteWasNotMade(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, tap *storage.Tap, store *refusesDeletes){
		"the process ended": func(t *testing.T, tap *storage.Tap, store *refusesDeletes) {
			at := watermark(t, tap)
			require.NoError(t, tap.Abandon(testContext(t)))
			row := journal.EncodeRow([]journal.Op{{Kind: journal.Delete, Key: key(1)}})
			require.NoError(t, store.Put(testContext(t), &physical.Entry{Key: journal.RowKey(at.Term, at.Sequence+1),
				Value: row}))
		},
		"the write failed": func(t *testing.T, tap *storage.Tap, store *refusesDeletes) {
			store.refuses = true
			require.ErrorIs(t, tap.Backend().Delete(testContext(t), key(1)), errStorage)
			store.refuses = false
			require.NoError(t, tap.Deactivate(testContext(t)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &refusesDeletes{Backend: newInmem(t)}
			requireDoubted(t, store, func(tap *storage.Tap) { leave(t, tap, store) })
		})
	}
}

// With transactions this happens when a write and its row are too large for one transaction.
func TestRowAheadOfATransactionThatWasNotMade(t *testing.T) {
	t.Parallel()
	store := newFaulty(t)
	one := func(o *storage.Options) { o.Limits = func() (int, int) { return 1, 0 } }
	requireDoubted(t, store, func(tap *storage.Tap) {
		store.set(func(keys []string) (bool, error) {
			if strings.HasPrefix(keys[0], journal.RowPrefix) {
				return true, nil
			}
			return false, errStorage
		}, func(string) error { return errStorage })
		require.ErrorIs(t, tap.Backend().Delete(testContext(t), key(1)), errStorage)
		require.NoError(t, tap.Abandon(testContext(t)))
		store.set(nil, nil)
	}, one)
}

// requireDoubted checks that nobody relies on the row of a deletion that was not made.
func requireDoubted(t *testing.T, store physical.Backend, leave func(*storage.Tap), with ...func(*storage.Options)) {
	t.Helper()
	ctx := testContext(t)
	tap := newPrimary(t, store, with...)
	put(t, tap, key(1), "first")
	put(t, tap, key(2), "first")
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	secondary := newTap(t, newTxn(t))
	copyAll(t, tap, secondary, dr, at)
	leave(tap)

	again := newPrimary(t, store, append(with, func(o *storage.Options) { o.FrameBytes = 1 })...)
	put(t, again, key(2), "second")
	del(t, again, key(1))
	end := watermark(t, again).Sequence
	r, err := again.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	defer r.Close()
	f, err := r.Next()
	require.NoError(t, err)
	require.Less(t, f.To.Sequence, end, "the row is sent without the later one")
	c, err := secondary.Secondary(dr).ApplyFrame(ctx, f)
	require.NoError(t, err)
	require.False(t, c.Consistent(), "the primary had the key at %d", c.Position.Sequence)
	c = follow(t, again, secondary, dr, "s", end)
	require.True(t, c.Consistent())
	require.Equal(t, content(t, again, dr), content(t, secondary, dr))
}
