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
