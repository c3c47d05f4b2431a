// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Behind names from memory the keys that a secondary has not acknowledged. It says so when memory no longer has all of
// them.
func TestBehind(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.RingRows = 3 })
	behind := func() (keys []string, all bool) {
		all, err := tap.Behind(ctx, dr, "s", 1<<20, func(key string) { keys = append(keys, key) })
		require.NoError(t, err)
		return keys, all
	}
	_, err := tap.Behind(ctx, dr, "s", 1<<20, func(string) {})
	require.Equal(t, replication.NotFound, replication.KindOf(err))
	_, err = tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	keys, all := behind()
	require.Empty(t, keys)
	require.True(t, all)
	put(t, tap, key(1), "a")
	put(t, tap, "core/hsm/iv", "own")
	first := watermark(t, tap)
	put(t, tap, key(2), "b")
	del(t, tap, key(1))
	keys, all = behind()
	require.Equal(t, []string{key(1), key(2), key(1)}, keys)
	require.True(t, all)
	require.NoError(t, tap.AckSlot(ctx, dr, "s", first))
	keys, _ = behind()
	require.Equal(t, []string{key(2), key(1)}, keys)
	require.Equal(t, first.Sequence, tap.Slots(dr)[0].Acknowledged)
	for i := 3; i < 7; i++ {
		put(t, tap, key(i), "c")
	}
	keys, all = behind()
	require.Equal(t, []string{key(4), key(5), key(6)}, keys)
	require.False(t, all, "the ring has three rows")
	ring := tap.Ring(dr)
	require.Equal(t, 3, ring.Rows)
	require.Equal(t, 3, ring.MaxRows)
	require.Positive(t, ring.Bytes)
	require.Zero(t, tap.Ring(replication.Performance))
}
