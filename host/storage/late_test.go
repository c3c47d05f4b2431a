// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Storage without fencing accepts writes of a deposed leader, with transactions or without. The new leader finds the
// rows, sends the present values to secondaries that are past them, and counts the keys in the fingerprint.
func TestWritesOfADeposedLeaderAreFound(t *testing.T) {
	for what, inner := range map[string]physical.Backend{"without transactions": newInmem(t),
		"with transactions": newTxn(t)} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			findsWritesOfADeposedLeader(t, inner)
		})
	}
}

func findsWritesOfADeposedLeader(t *testing.T, inner physical.Backend) {
	ctx := testContext(t)
	soon := func(o *storage.Options) { o.LateEvery, o.Fenced = 5*time.Millisecond, false }
	ofDeposed, looksOfDeposed := countLooks(inner)
	deposed := newPrimary(t, ofDeposed, soon)
	_, err := deposed.OpenSlot(ctx, replication.DR, "west")
	require.NoError(t, err)
	put(t, deposed, key(1), "first")
	secondary := newTap(t, newInmem(t))
	copyAll(t, deposed, secondary, replication.DR, watermark(t, deposed))

	ofLeader, looks := countLooks(inner)
	leader := newPrimary(t, ofLeader, soon)
	put(t, leader, key(2), "of the leader")
	follow(t, leader, secondary, replication.DR, "west", watermark(t, leader).Sequence)
	fingerprintOf(t, leader, replication.DR)
	// This test is not about what it finds at its start.
	require.Eventually(t, func() bool { return looks.Load() > 1 }, waitMax, tick)

	put(t, deposed, key(1), "slipped in")
	put(t, deposed, key(3), "slipped in too")
	require.Eventually(t, func() bool {
		follow(t, leader, secondary, replication.DR, "west", watermark(t, leader).Sequence)
		return get(t, secondary.Inner(), key(1)) == "slipped in" && get(t, secondary.Inner(), key(3)) == "slipped in too"
	}, waitMax, tick)
	require.NoError(t, secondary.StartFingerprint(ctx, replication.DR, indexKey))
	require.Eventually(t, func() bool {
		follow(t, leader, secondary, replication.DR, "west", watermark(t, leader).Sequence)
		return fingerprintOf(t, leader, replication.DR) == fingerprintOf(t, secondary, replication.DR)
	}, waitMax, tick)
	// The deposed leader does not take the new one for a deposed leader.
	at := watermark(t, deposed)
	before := looksOfDeposed.Load()
	require.Eventually(t, func() bool { return looksOfDeposed.Load() > before+2 }, waitMax, tick)
	require.Equal(t, at, watermark(t, deposed))
}

// stuck is a storage in which writes and listings of some keys wait.
type stuck struct {
	physical.Backend
	puts, lists func(key string) <-chan struct{} // nil for no wait
}

// never lets nothing wait.
func never(string) <-chan struct{} { return nil }

func (s *stuck) Put(ctx context.Context, e *physical.Entry) error {
	if wait := s.puts(e.Key); wait != nil {
		<-wait
	}
	return s.Backend.Put(ctx, e)
}

func (s *stuck) List(ctx context.Context, prefix string) ([]string, error) {
	if wait := s.lists(prefix); wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Backend.List(ctx, prefix)
}

// A deposed leader left a row. Its data lands after the next leader has read the key for its index. So the index is
// read anew.
func TestLateDataOfARowThatWasThere(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newInmem(t)
	gap, data, look := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var rows atomic.Uint64
	deposed := newPrimary(t, &stuck{inner, func(k string) <-chan struct{} {
		switch {
		case strings.HasPrefix(k, journal.RowPrefix) && rows.Add(1) == 2:
			return gap // so that nobody knows the next row to be finished
		case k == key(3):
			return data
		}
		return nil
	}, never}, func(o *storage.Options) { o.LateEvery = time.Hour })
	_, err := deposed.OpenSlot(ctx, dr, "west")
	require.NoError(t, err)
	put(t, deposed, key(1), "first")
	var writes sync.WaitGroup
	defer writes.Wait()
	land := sync.OnceFunc(func() { close(data) })
	defer land()
	defer close(gap)
	for _, k := range []string{key(2), key(3)} {
		before := rows.Load()
		writes.Go(func() { _ = deposed.Backend().Put(ctx, &physical.Entry{Key: k, Value: []byte("late")}) })
		require.Eventually(t, func() bool { return rows.Load() > before }, waitMax, tick)
	}
	require.Eventually(t, func() bool { return rowsStored(t, inner) == 2 }, waitMax, tick)

	leader := newPrimary(t, &stuck{inner, never, func(k string) <-chan struct{} {
		if k == journal.RowPrefix {
			return look
		}
		return nil
	}}, func(o *storage.Options) { o.LateEvery, o.Fenced = 5*time.Millisecond, false })
	checked(t, leader)
	land()
	require.Eventually(t, func() bool { return get(t, inner, key(3)) == "late" }, waitMax, tick)
	close(look)
	h := fingerprint.NewHasher(indexKey)
	require.Eventually(t, func() bool {
		var sum fingerprint.Sum
		all := content(t, leader, dr)
		for k, v := range all {
			sum.Add(h.Element(k, []byte(v)))
		}
		got, n := leader.Indexes().Fingerprint(dr)
		return bytes.Equal(got, h.Root(sum, n)) && n == uint64(len(all))
	}, waitMax, tick)
}

// An index is not invalidated while it begins, because it would count by the stored blocks that it has read already.
func TestNoIndexBeginsWhileIndexesAreInvalidated(t *testing.T) {
	t.Parallel()
	tap := newPrimary(t, newInmem(t))
	fingerprintOf(t, tap, dr)
	ended, end := context.WithCancel(testContext(t))
	end()
	release := sync.OnceFunc(tap.HoldIndexes())
	defer release()
	require.ErrorIs(t, tap.LoseIndexes(ended), context.Canceled)
	root, _ := tap.Indexes().Fingerprint(dr)
	require.NotNil(t, root)
	release()
	require.NoError(t, tap.LoseIndexes(testContext(t)))
}

// countLooks counts how often a storage is searched for rows of deposed leaders.
func countLooks(inner physical.Backend) (physical.Backend, *atomic.Uint64) {
	n := &atomic.Uint64{}
	count := func(prefix string) {
		if prefix == journal.RowPrefix {
			n.Add(1)
		}
	}
	if b, ok := inner.(physical.TransactionalBackend); ok {
		return &faulty{TransactionalBackend: b, list: count}, n
	}
	return &listed{inner, count}, n
}

// listed says what is listed.
type listed struct {
	physical.Backend
	list func(prefix string)
}

func (l *listed) List(ctx context.Context, prefix string) ([]string, error) {
	l.list(prefix)
	return l.Backend.List(ctx, prefix)
}

// The head names the terms. A deposed leader that wrote it would erase the present leader's term. The rows of that term
// would be lost and its sequences allocated again.
func TestADeposedLeaderLeavesTheHead(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newInmem(t)
	termOf := func() uint64 {
		head, err := journal.DecodeHead([]byte(get(t, inner, journal.HeadKey)))
		require.NoError(t, err)
		return head.Term
	}
	deposed := newPrimary(t, inner)
	write(t, deposed, 3)
	old := get(t, inner, journal.HeadKey)
	leader := newPrimary(t, inner, func(o *storage.Options) { o.LateEvery = 5 * time.Millisecond })
	term := termOf()
	require.Equal(t, replication.Unavailable, replication.KindOf(deposed.Deactivate(ctx)))
	require.Equal(t, term, termOf())

	// A deposed leader that checked before the takeover still writes.
	require.NoError(t, inner.Put(ctx, &physical.Entry{Key: journal.HeadKey, Value: []byte(old)}))
	require.Eventually(t, func() bool { return termOf() == term }, waitMax, tick)
	write(t, leader, 3)
}
