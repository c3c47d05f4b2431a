// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// busy is a primary with a slot whose storage is kept busy by two writes until it is
// told to go on.
type busy struct {
	*storage.Tap
	f      *faulty
	goOn   chan struct{}
	mu     sync.Mutex
	stored [][]string // keys of each write of keys of tests
	fail   func(keys []string) (landed bool, err error)
	writes sync.WaitGroup
}

func newBusy(t *testing.T, change ...func(*storage.Options)) *busy {
	t.Helper()
	b := &busy{f: newFaulty(t), goOn: make(chan struct{})}
	b.Tap = newPrimary(t, b.f, change...)
	fingerprintOf(t, b.Tap, dr)
	_, err := b.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
	var arrived sync.WaitGroup
	arrived.Add(2)
	b.f.set(func(keys []string) (bool, error) {
		switch {
		case slices.Contains(keys, "core/cluster/feature-flags") || slices.Contains(keys, "core/index-header-hmac-key"):
			arrived.Done()
			<-b.goOn
		case slices.ContainsFunc(keys, func(k string) bool { return k >= key(0) && k < "logical/uuid/l" }):
			b.mu.Lock()
			defer b.mu.Unlock()
			b.stored = append(b.stored, keys)
			if b.fail != nil {
				return b.fail(keys)
			}
		}
		return true, nil
	}, nil)
	for _, k := range []string{"core/cluster/feature-flags", "core/index-header-hmac-key"} {
		b.write(testContext(t), k, func(err error) { require.NoError(t, err) })
	}
	arrived.Wait()
	return b
}

// write begins a write, whose result is given to a function.
func (b *busy) write(ctx context.Context, k string, then func(error)) {
	b.writes.Go(func() {
		then(b.Backend().Put(ctx, &physical.Entry{Key: k, Value: []byte("value of " + k)}))
	})
}

// waits waits until so many writes wait for their turn.
func (b *busy) waits(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return b.Gathering() == n }, waitMax, tick)
}

// ends lets the storage go on, and waits for all writes.
func (b *busy) ends() {
	close(b.goOn)
	b.writes.Wait()
	b.f.set(nil, nil)
}

// requireFollowed follows from the beginning, and shows that all is as on the primary.
func (b *busy) requireFollowed(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	at, err := b.OpenSlot(ctx, dr, "f")
	require.NoError(t, err)
	secondary := newTap(t, newTxn(t))
	require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
	copyAll(t, b.Tap, secondary, dr, at)
	follow(t, b.Tap, secondary, dr, "f", watermark(t, b.Tap).Sequence)
	require.Equal(t, content(t, b.Tap, dr), content(t, secondary, dr))
	require.Equal(t, fingerprintOf(t, b.Tap, dr), fingerprintOf(t, secondary, dr))
}

// Writes that come while others are being stored share a transaction and a row, except for keys that a secondary
// applies by themselves.
func TestWritesAreGathered(t *testing.T) {
	t.Parallel()
	const alone = "logical/uuid/key-alone"
	b := newBusy(t, func(o *storage.Options) { o.Alone = func(k string) bool { return k == alone } })
	before := watermark(t, b.Tap).Sequence
	for i := range 10 {
		b.write(testContext(t), key(i), func(err error) { require.NoError(t, err) })
	}
	b.waits(t, 10)
	put(t, b.Tap, alone, "at once")
	require.Len(t, b.stored, 1)
	require.Len(t, b.stored[0], 2, "it, and its row")
	b.ends()
	require.Len(t, b.stored, 2)
	require.Len(t, b.stored[1], 11, "all of them, and one row")
	writes, rows := b.Gathered()
	require.Equal(t, []uint64{10, 1}, []uint64{writes, rows})
	require.Equal(t, before+4, watermark(t, b.Tap).Sequence)
	row := b.stored[1][10]
	ops, err := journal.DecodeRow([]byte(get(t, b.f, row)))
	require.NoError(t, err)
	require.Len(t, ops, 10)
	b.requireFollowed(t)
}

// What is gathered, with its row, fits into a transaction of the storage.
func TestGatheredWritesFit(t *testing.T) {
	t.Parallel()
	const most = 9
	b := newBusy(t, func(o *storage.Options) { o.Limits = func() (int, int) { return most, 0 } })
	for i := range 20 {
		b.write(testContext(t), key(i), func(err error) { require.NoError(t, err) })
	}
	b.waits(t, 20)
	b.ends()
	for _, keys := range b.stored {
		require.LessOrEqual(t, len(keys), most)
		require.True(t, strings.HasPrefix(keys[len(keys)-1], journal.RowPrefix), "the row is in the transaction: %v", keys)
	}
	b.requireFollowed(t)
}

// A write whose caller does not wait any longer is not made, unless it is under way.
func TestGatheredWriteIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBusy(t)
	ctx, cancel := context.WithCancel(testContext(t))
	b.write(ctx, key(1), func(err error) { require.ErrorIs(t, err, context.Canceled) })
	b.write(testContext(t), key(2), func(err error) { require.NoError(t, err) })
	b.waits(t, 2)
	cancel()
	b.waits(t, 1)
	b.ends()
	require.Equal(t, "<none>", get(t, b.f, key(1)))
	require.Equal(t, "value of "+key(2), get(t, b.f, key(2)))
	put(t, b.Tap, key(1), "its lock was given back")
	b.requireFollowed(t)
}

// All writes of a transaction get its error. The content of the storage decides what became of them.
func TestGatheredWritesFail(t *testing.T) {
	t.Parallel()
	for name, landed := range map[string]bool{"nothing was made": false, "all was made": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBusy(t)
			b.fail = func([]string) (bool, error) { return landed, errStorage }
			for i := range 5 {
				b.write(testContext(t), key(i), func(err error) { require.ErrorIs(t, err, errStorage) })
			}
			b.waits(t, 5)
			b.ends()
			require.Len(t, b.stored[0], 6)
			for i := range 5 {
				require.Equal(t, landed, get(t, b.f, key(i)) != "<none>")
				put(t, b.Tap, key(i+10), "the storage is well again")
			}
			b.requireFollowed(t)
		})
	}
}

// While the storage does not say what became of a transaction, all its writes keep their locks. When it answers, all of
// them are over.
func TestGatheredWritesAreUnsettled(t *testing.T) {
	t.Parallel()
	b := newBusy(t)
	b.fail = func([]string) (bool, error) { return true, errStorage }
	for i := range 3 {
		b.write(testContext(t), key(i), func(err error) { require.ErrorIs(t, err, errStorage) })
	}
	b.waits(t, 3)
	b.f.mu.Lock()
	b.f.read = func(k string) error {
		if k == key(1) {
			return errStorage
		}
		return nil
	}
	b.f.mu.Unlock()
	close(b.goOn)
	b.writes.Wait()
	for i := range 3 {
		ctx, cancel := context.WithCancel(testContext(t))
		cancel()
		err := b.Backend().Put(ctx, &physical.Entry{Key: key(i), Value: []byte("later")})
		require.ErrorIs(t, err, context.Canceled, "its key is locked")
	}
	b.f.set(nil, nil)
	for i := range 3 {
		put(t, b.Tap, key(i), "later")
	}
	// Each of them was told to be over: a block with a key that is being written is
	// never stored.
	b.Indexes().Store(testContext(t))
	require.Len(t, storedRows(t, b.f), 2, "the head, and the block")
	b.requireFollowed(t)
}

// Writes that are too large together are made one by one.
func TestGatheredWritesAreTooLarge(t *testing.T) {
	t.Parallel()
	b := newBusy(t)
	b.fail = func(keys []string) (bool, error) {
		if len(keys) > 2 {
			return false, errors.New(physical.ErrValueTooLarge)
		}
		if slices.Contains(keys, key(2)) {
			return false, fmt.Errorf("%s: this one by itself", physical.ErrValueTooLarge)
		}
		return true, nil
	}
	for i := range 4 {
		b.write(testContext(t), key(i), func(err error) {
			if i == 2 {
				require.ErrorContains(t, err, "by itself")
			} else {
				require.NoError(t, err)
			}
		})
	}
	b.waits(t, 4)
	b.ends()
	require.Equal(t, "<none>", get(t, b.f, key(2)))
	for _, i := range []int{0, 1, 3} {
		require.Equal(t, "value of "+key(i), get(t, b.f, key(i)))
	}
	b.requireFollowed(t)
}
