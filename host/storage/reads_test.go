// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
)

// A copy reads the former value of a key only where the listing has the key: a first copy reads none. The index is
// right in both cases.
func TestCopyReadsOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	primary := newTap(t, newTxn(t), func(o *storage.Options) { o.RangeBytes = 1000 })
	require.NoError(t, primary.Activate(ctx, config(dr)))
	const n = 200
	for i := range n {
		put(t, primary, key(i), strings.Repeat("v", 50))
	}
	f := newFaulty(t)
	secondary := newTap(t, f)
	require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
	fingerprintOf(t, secondary, dr)
	var reads, writes atomic.Int64
	f.set(func(keys []string) (bool, error) {
		for _, k := range keys {
			if strings.HasPrefix(k, "logical/") {
				writes.Add(1)
			}
		}
		return true, nil
	}, func(k string) error {
		if strings.HasPrefix(k, "logical/") {
			reads.Add(1)
		}
		return nil
	})
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	copyAll(t, primary, secondary, dr, at)
	require.Equal(t, int64(n), writes.Load())
	require.Zero(t, reads.Load(), "nothing was there")
	requireRootOf(t, secondary, dr)

	put(t, primary, key(n+1), "new")
	reads.Store(0)
	copyAll(t, primary, secondary, dr, at)
	require.Equal(t, int64(n+1), writes.Load(), "what is equal is not written")
	require.Equal(t, int64(n), reads.Load())
	requireRootOf(t, secondary, dr)
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}

// A catch-up of large values from storage reads each about once, not once for each frame that it does not fit into.
func TestLargeValuesAreReadOnce(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary := newTap(t, f, func(o *storage.Options) { o.RingBytes, o.FrameBytes = 1, 4000 })
	require.NoError(t, primary.Activate(ctx, config(dr)))
	at, err := primary.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	secondary := newTap(t, newTxn(t))
	copyAll(t, primary, secondary, dr, at)
	const n = 200
	for i := range n {
		put(t, primary, key(i), strings.Repeat("v", 900))
	}
	var reads atomic.Int64
	f.set(nil, func(k string) error {
		if strings.HasPrefix(k, "logical/") {
			reads.Add(1)
		}
		return nil
	})
	follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
	require.Less(t, reads.Load(), int64(3*n), "the check of the index may read all of them once more")
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}
