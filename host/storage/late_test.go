// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Storage without fencing takes what a deposed leader writes. The new leader finds it,
// sends what is there to secondaries that are past it, and counts it in the fingerprint.
// Storage can have transactions and not fence.
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
	// What it finds at its beginning is not what this is about.
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
	// The deposed one does not take the new leader for another that is deposed.
	at := watermark(t, deposed)
	before := looksOfDeposed.Load()
	require.Eventually(t, func() bool { return looksOfDeposed.Load() > before+2 }, waitMax, tick)
	require.Equal(t, at, watermark(t, deposed))
}

// countLooks is a storage and how often rows of deposed leaders were looked for in it.
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

// The head names the terms. A deposed leader that writes it would have the term of the
// leader of now forgotten: with it go its rows, and its numbers are given out again.
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

	// One that had looked before the takeover writes all the same.
	require.NoError(t, inner.Put(ctx, &physical.Entry{Key: journal.HeadKey, Value: []byte(old)}))
	require.Eventually(t, func() bool { return termOf() == term }, waitMax, tick)
	write(t, leader, 3)
}
