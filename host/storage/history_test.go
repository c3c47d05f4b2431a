// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// snapshot is a copy of everything stored.
func snapshot(t *testing.T, from physical.Backend) physical.Backend {
	t.Helper()
	to := newTxn(t)
	replaceContent(t, to, from)
	return to
}

// replaceContent replaces the content of one storage with that of another, as a restore does.
func replaceContent(t *testing.T, to, from physical.Backend) {
	t.Helper()
	for _, key := range keysOf(t, to, "") {
		require.NoError(t, to.Delete(testContext(t), key))
	}
	for _, key := range keysOf(t, from, "") {
		e, err := from.Get(testContext(t), key)
		require.NoError(t, err)
		require.NoError(t, to.Put(testContext(t), e))
	}
}

func keysOf(t *testing.T, b physical.Backend, prefix string) []string {
	t.Helper()
	names, err := b.List(testContext(t), prefix)
	require.NoError(t, err)
	var keys []string
	for _, n := range names {
		if strings.HasSuffix(n, "/") {
			keys = append(keys, keysOf(t, b, prefix+n)...)
		} else {
			keys = append(keys, prefix+n)
		}
	}
	return keys
}

// requireHistory checks whether a position that the primary has given is known to it.
func requireHistory(t *testing.T, tap *storage.Tap, id string, at replication.Position, known bool) {
	t.Helper()
	tap.Given(dr, at)
	r, err := tap.ReadJournal(testContext(t), dr, id, at)
	acked := tap.AckSlot(testContext(t), dr, id, at)
	if known {
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.NoError(t, acked)
		return
	}
	require.Equal(t, replication.PositionLost, replication.KindOf(err), "%v", err)
	require.Equal(t, replication.PositionLost, replication.KindOf(acked), "%v", acked)
}

func write(t *testing.T, tap *storage.Tap, rows int) replication.Position {
	t.Helper()
	for i := range rows {
		put(t, tap, key(i), "value")
	}
	return watermark(t, tap)
}

// The storage of a primary is replaced with an older copy. The primary recognizes positions of its lost history,
// however many sequences it allocates afterwards.
func TestPositionsOfALostHistory(t *testing.T) {
	t.Parallel()
	for name, orderly := range map[string]bool{"in a term": false, "after an orderly end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			inner := newTxn(t)
			tap := newPrimary(t, inner)
			_, err := tap.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			kept := write(t, tap, 10)
			if orderly {
				require.NoError(t, tap.Deactivate(ctx))
			}
			old := snapshot(t, inner)
			if orderly {
				tap = newPrimary(t, inner)
			}
			lost := write(t, tap, 10)

			told := atomic.Int32{}
			tap = newTap(t, old)
			tap.OnHistoryLost(func() { told.Add(1) })
			require.NoError(t, tap.Activate(ctx, config(dr)))
			require.False(t, tap.HistoryLost(), "nobody has said so")
			requireHistory(t, tap, "s", kept, true)
			require.False(t, tap.HistoryLost())
			write(t, tap, 5000)
			require.Greater(t, watermark(t, tap).Sequence, lost.Sequence)
			requireHistory(t, tap, "s", lost, false)
			require.True(t, tap.HistoryLost())
			require.EqualValues(t, 1, told.Load())
			requireHistory(t, tap, "s", watermark(t, tap), true)
		})
	}
}

// The position that a secondary claims proves no lost history: the secondary may lie. It is told to copy.
func TestALieProvesNoLostHistory(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t))
	tap.OnHistoryLost(func() { t.Error("a lie was believed") })
	at, err := tap.OpenSlot(ctx, dr, "liar")
	require.NoError(t, err)
	write(t, tap, 10)
	require.NoError(t, tap.Deactivate(ctx))
	require.NoError(t, tap.Activate(ctx, config(dr)))
	for _, lie := range []replication.Position{
		{Epoch: at.Epoch, Term: at.Term + 1<<41, Sequence: 5},  // a term that never was
		{Epoch: at.Epoch, Term: at.Term, Sequence: 1 << 20},    // the end of one that is over
		{Epoch: at.Epoch, Term: 1, Sequence: 1<<63 + 1},        // nowhere
		{Epoch: at.Epoch, Term: at.Term - 1, Sequence: 1 << 3}, // before all
	} {
		_, err := tap.ReadJournal(ctx, dr, "liar", lie)
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "%v", err)
		require.Equal(t, replication.PositionLost, replication.KindOf(tap.AckSlot(ctx, dr, "liar", lie)))
		require.False(t, tap.HistoryLost())
	}
	// A position that the primary has given proves it, once: the new epoch forgets it.
	lost := replication.Position{Epoch: at.Epoch, Term: at.Term, Sequence: 1 << 20}
	tap.OnHistoryLost(nil)
	tap.Given(dr, lost)
	require.True(t, tap.HistoryLost())
	next := config(dr)
	next.Modes[dr] = primary.ModeConfig{Epoch: replication.Epoch{Generation: at.Epoch.Generation + 1, ID: "next"},
		IndexKey: next.Modes[dr].IndexKey}
	require.NoError(t, tap.Activate(ctx, next))
	tap.BeginHistory()
	tap.Given(dr, lost)
	require.False(t, tap.HistoryLost(), "a position of an epoch that is over proves something")
}

// Restarts lose nothing, so no earlier position counts as one of a lost history: not after a crash, nor with deleted
// rows, nor with failed writes.
func TestRestartsKeepTheHistory(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newFaulty(t)
	tap := newPrimary(t, inner)
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	again := func() {
		require.NoError(t, tap.Abandon(ctx))
		tap = newPrimary(t, inner)
		require.False(t, tap.HistoryLost())
		requireHistory(t, tap, "s", at, true)
	}
	again() // at the beginning
	for range 3 {
		at = write(t, tap, 20)
		again()
	}
	at = write(t, tap, 1500)
	require.NoError(t, tap.AckSlot(ctx, dr, "s", at))
	require.Eventually(t, func() bool { return rowsStored(t, inner) < 300 }, waitMax, tick)
	at = write(t, tap, 5)
	again()

	// The write fails, and its row with it; the number is finished all the same.
	inner.set(failWritesOf("core/mounts", false), nil)
	require.Error(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("refused")}))
	inner.set(nil, nil)
	at = write(t, tap, 5)
	again()

	require.NoError(t, tap.Deactivate(ctx))
	tap = newPrimary(t, inner)
	require.False(t, tap.HistoryLost())
	requireHistory(t, tap, "s", at, true)

	// A secondary may stand in the gap between two terms.
	reader, err := tap.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	defer reader.Close()
	write(t, tap, 1)
	for at.Sequence < watermark(t, tap).Sequence {
		f, err := reader.Next()
		require.NoError(t, err)
		at = f.To
		requireHistory(t, tap, "s", at, true)
	}
	again()
}

// A write fails, and then its row cannot be stored. Its sequence is not streamed before the row is stored.
func TestNothingIsStreamedThatIsNotStored(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newFaulty(t)
	tap := newPrimary(t, inner)
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	before := write(t, tap, 5)
	inner.set(func([]string) (bool, error) { return false, errStorage }, nil)
	require.Error(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("refused")}))
	require.Equal(t, before, watermark(t, tap))
	inner.set(nil, nil)
	write(t, tap, 1)
	require.Eventually(t, func() bool { return watermark(t, tap).Sequence == before.Sequence+2 }, waitMax, tick)
	require.Equal(t, 7, rowsStored(t, inner))
}

// A process sees by itself that its storage was replaced. It does not see that when it is merely elected again, or when
// another node has written in between.
func TestStorageThatIsReplacedUnderAProcess(t *testing.T) {
	t.Parallel()
	for name, slot := range map[string]bool{"with a slot": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			inner := newTxn(t)
			tap := newPrimary(t, inner)
			if slot {
				_, err := tap.OpenSlot(ctx, dr, "s")
				require.NoError(t, err)
			}
			write(t, tap, 10)
			elected := func() {
				tap.Rest(ctx)
				require.NoError(t, tap.Abandon(ctx))
				require.NoError(t, tap.Activate(ctx, config(dr)))
			}
			elected()
			require.False(t, tap.HistoryLost())
			write(t, tap, 10)
			other := newPrimary(t, inner)
			write(t, other, 10)
			require.NoError(t, other.Abandon(ctx))
			elected()
			require.False(t, tap.HistoryLost())

			write(t, tap, 10)
			old := snapshot(t, inner)
			write(t, tap, 10)
			if !slot {
				// Without a slot nobody can have the lost writes, but the terms still show the loss.
				elected()
				require.False(t, tap.HistoryLost())
			}
			tap.Rest(ctx)
			replaceContent(t, inner, old)
			require.NoError(t, tap.Abandon(ctx))
			require.NoError(t, tap.Activate(ctx, config(dr)))
			require.True(t, tap.HistoryLost())
			tap.BeginHistory()
			elected()
			require.False(t, tap.HistoryLost(), "it is seen once")
		})
	}
}

// Some storage lets a deposed leader write. Then a position that the present leader did not find comes from a deposed
// leader or from a storage that went back. The rows show which.
func TestADeposedLeaderIsNoLostHistory(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newInmem(t)
	deposed := newPrimary(t, inner)
	_, err := deposed.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	write(t, deposed, 10)
	old := newInmem(t)
	replaceContent(t, old, inner)

	leads := newPrimary(t, inner)
	require.False(t, leads.HistoryWasLate(ctx))
	late := write(t, deposed, 10)
	requireHistory(t, leads, "s", late, false)
	require.True(t, leads.HistoryLost())
	require.True(t, leads.HistoryWasLate(ctx))

	// It remembers the late rows after they are deleted.
	seen, looks := countLooks(inner)
	finds := newPrimary(t, seen, func(o *storage.Options) { o.LateEvery = 5 * time.Millisecond })
	require.Eventually(t, func() bool { return looks.Load() > 1 }, waitMax, tick)
	at := watermark(t, finds).Sequence
	late = write(t, leads, 10)
	require.Eventually(t, func() bool { return watermark(t, finds).Sequence >= at+10 }, waitMax, tick)
	require.NoError(t, finds.CloseSlot(ctx, dr, "s"))
	require.Eventually(t, func() bool { return rowsStored(t, inner) == 0 }, waitMax, tick)
	finds.Given(dr, late)
	require.True(t, finds.HistoryLost())
	require.True(t, finds.HistoryWasLate(ctx))

	restored := newPrimary(t, old)
	requireHistory(t, restored, "s", late, false)
	require.True(t, restored.HistoryLost())
	require.False(t, restored.HistoryWasLate(ctx))
}
