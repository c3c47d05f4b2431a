// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const dr = replication.DR

func TestRowsOnlyWithASlot(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner)
		put(t, tap, "core/mounts", "1")
		require.Zero(t, rowsStored(t, inner))
		require.Equal(t, uint64(1), watermark(t, tap).Sequence)

		at, err := tap.OpenSlot(ctx, dr, "a/b\x00 é")
		require.NoError(t, err)
		require.Equal(t, uint64(1), at.Sequence)
		put(t, tap, "core/mounts", "2")
		put(t, tap, "core/hsm/iv", "own")
		del(t, tap, "core/mounts")
		require.Equal(t, 2, rowsStored(t, inner))

		require.NoError(t, tap.CloseSlot(ctx, dr, "a/b\x00 é"))
		require.Eventually(t, func() bool { return rowsStored(t, inner) == 0 }, 20*time.Second, time.Millisecond,
			"rows of nobody are deleted")
		put(t, tap, "core/mounts", "3")
		require.Zero(t, rowsStored(t, inner))
		require.Equal(t, uint64(4), watermark(t, tap).Sequence)
	})
}

func TestStreamFromMemory(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner)
		at, err := tap.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		r, err := tap.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		defer r.Close()
		put(t, tap, "core/mounts", "1")
		put(t, tap, "core/mounts", "2")
		var got []string
		var last uint64
		for last < 2 {
			f, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, last, f.After)
			require.Zero(t, f.ConsistentFrom)
			rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
			require.NoError(t, err)
			for _, row := range rows {
				got = append(got, fmt.Sprintf("%d %s=%s", row.Sequence, row.Ops[0].Key, row.Ops[0].Value))
			}
			last = f.To.Sequence
		}
		require.Equal(t, []string{"1 core/mounts=1", "2 core/mounts=2"}, got, "values are those that were written")
	})
}

// A reader that waits is woken by a write, and by the end of the journal.
func TestReaderWaits(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t))
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	r, err := tap.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	frames := make(chan *replication.Frame)
	errs := make(chan error, 1)
	go func() {
		for {
			f, err := r.Next()
			if err != nil {
				errs <- err
				return
			}
			frames <- f
		}
	}()
	for i := range 10 {
		put(t, tap, "core/mounts", fmt.Sprint(i))
		require.Equal(t, uint64(i+1), (<-frames).To.Sequence)
	}
	require.NoError(t, tap.Deactivate(ctx))
	require.Equal(t, replication.Unavailable, replication.KindOf(<-errs))
}

// Rows without a part for a mode still advance the position of that mode.
func TestModesSeeTheirOwn(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	var log bytes.Buffer
	tap := newTap(t, newTxn(t), func(o *storage.Options) { o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log}) })
	require.NoError(t, tap.Activate(ctx, config(dr, replication.Performance)))
	at, err := tap.OpenSlot(ctx, replication.Performance, "p")
	require.NoError(t, err)
	put(t, tap, "sys/token/id/a", "local")
	require.NotContains(t, log.String(), "no class")
	put(t, tap, "core/unheard-of", "unknown")
	r, err := tap.ReadJournal(ctx, replication.Performance, "p", at)
	require.NoError(t, err)
	f, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(2), f.To.Sequence)
	rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Equal(t, uint64(1), tap.UnknownKeys())
	require.Contains(t, log.String(), "key=core/unheard-of")

	rng, err := tap.ReadRange(ctx, replication.Performance, "", "")
	require.NoError(t, err)
	require.Zero(t, rng.Keys)
	rng, err = tap.ReadRange(ctx, dr, "", "")
	require.NoError(t, err)
	require.Equal(t, uint64(2), rng.Keys)
}

// numbered is a position of the present term.
func numbered(t *testing.T, tap *storage.Tap, sequence uint64) replication.Position {
	t.Helper()
	at := watermark(t, tap)
	at.Sequence = sequence
	return at
}

func TestNumbersGoOnOverTerms(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner)
		at, err := tap.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		for i := range 5 {
			put(t, tap, key(i), "1")
		}
		require.NoError(t, tap.Deactivate(ctx))
		_, err = tap.Position(dr)
		require.Equal(t, replication.Unavailable, replication.KindOf(err))

		tap = newPrimary(t, inner)
		require.Equal(t, uint64(5), watermark(t, tap).Sequence, "exact after an orderly end")
		require.Equal(t, uint64(2), journal.TermCount(watermark(t, tap).Term))
		put(t, tap, key(5), "1")

		// Without an orderly end numbers are skipped, never used twice.
		tap = newPrimary(t, inner)
		p := watermark(t, tap)
		require.Equal(t, uint64(3), journal.TermCount(p.Term))
		require.Greater(t, p.Sequence, uint64(6))
		put(t, tap, key(6), "1")
		r, err := tap.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err, "the slot outlived the process")
		seen := map[string]bool{}
		var last uint64
		for last < watermark(t, tap).Sequence {
			f, err := r.Next()
			require.NoError(t, err)
			rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
			require.NoError(t, err)
			for _, row := range rows {
				seen[row.Ops[0].Key] = true
			}
			last = f.To.Sequence
		}
		require.Len(t, seen, 7)
	})
}

func TestMoreNumbersThanOneBlock(t *testing.T) {
	t.Parallel()
	// Each write has a number of its own.
	tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.Alone = func(string) bool { return true } })
	ctx := testContext(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 2000 {
				if err := tap.Backend().Put(ctx, &physical.Entry{Key: key(w), Value: []byte("v")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(16000), watermark(t, tap).Sequence)
}

// Rows that are no longer in memory are sent with present values, and the frame says so.
func TestStreamFromStorage(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner, func(o *storage.Options) { o.RingBytes = 1 })
		at, err := tap.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		put(t, tap, "core/mounts", "old") // 1, overwritten by 3
		put(t, tap, "core/auth", "exact") // 2
		put(t, tap, "core/mounts", "new") // 3
		put(t, tap, "core/audit", "gone") // 4
		del(t, tap, "core/audit")         // 5
		r, err := tap.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, uint64(5), f.To.Sequence)
		require.Equal(t, uint64(5), f.ConsistentFrom)
		rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
		require.NoError(t, err)
		var got []string
		for _, row := range rows {
			for _, op := range row.Ops {
				got = append(got, fmt.Sprintf("%d %d %s=%s", row.Sequence, op.Kind, op.Key, op.Value))
			}
		}
		require.Equal(t, []string{"2 1 core/auth=exact", "3 1 core/mounts=new", "5 2 core/audit="}, got)
	})
}

func TestStorageRowsWithOriginalValuesAreConsistent(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.RingBytes = 1 })
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	for i := range 200 {
		put(t, tap, key(i), "v")
	}
	r, err := tap.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	f, err := r.Next()
	require.NoError(t, err)
	require.Zero(t, f.ConsistentFrom)
	require.Equal(t, uint64(200), f.To.Sequence)
}

// A ring of seven rows has the last seven. Earlier rows come from the storage.
func TestRingBoundedInRows(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.RingRows = 7 })
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	for i := range 20 {
		put(t, tap, key(i), "v")
	}
	r, err := tap.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	for _, to := range []uint64{13, 20} {
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, to, f.To.Sequence)
	}
}

func TestFramesAreCut(t *testing.T) {
	t.Parallel()
	for name, ring := range map[string]int{"memory": 0, "storage": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.RingBytes = ring })
			at, err := tap.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			big := strings.Repeat("x", 300<<10)
			for i := range 10 {
				put(t, tap, key(i), big)
			}
			put(t, tap, key(10), strings.Repeat("y", 3<<20))
			r, err := tap.ReadJournal(ctx, dr, "s", at)
			require.NoError(t, err)
			rows := 0
			for last := uint64(0); last < 11; {
				f, err := r.Next()
				require.NoError(t, err)
				require.Equal(t, last, f.After)
				got, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
				require.NoError(t, err)
				require.True(t, len(f.Payload) <= replication.PayloadTarget+(1<<10) || len(got) == 1, "%d bytes", len(f.Payload))
				rows += len(got)
				last = f.To.Sequence
			}
			require.Equal(t, 11, rows)
		})
	}
}

func TestPositionLost(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t)
	tap := newPrimary(t, inner, func(o *storage.Options) { o.RingBytes = 1 })
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	for i := range 600 {
		put(t, tap, key(i%3), "v")
	}
	_, err = tap.ReadJournal(ctx, dr, "other", numbered(t, tap, 0))
	require.Equal(t, replication.NotFound, replication.KindOf(err))
	_, err = tap.ReadJournal(ctx, dr, "s", replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e2"}})
	require.Equal(t, replication.PositionLost, replication.KindOf(err))
	_, err = tap.ReadJournal(ctx, dr, "s", numbered(t, tap, 601))
	require.Equal(t, replication.PositionLost, replication.KindOf(err))

	// Acknowledged rows are deleted, and a reader that needs them is told.
	require.NoError(t, tap.AckSlot(ctx, dr, "s", numbered(t, tap, 600)))
	require.NoError(t, tap.Deactivate(ctx))
	tap = newPrimary(t, inner)
	require.Eventually(t, func() bool { return rowsStored(t, inner) == 0 }, 20*time.Second, time.Millisecond)
	r, err := tap.ReadJournal(ctx, dr, "s", numbered(t, tap, 10))
	require.NoError(t, err)
	put(t, tap, key(1), "v")
	_, err = r.Next()
	require.Equal(t, replication.PositionLost, replication.KindOf(err))
	r, err = tap.ReadJournal(ctx, dr, "s", numbered(t, tap, 600))
	require.NoError(t, err)
	f, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(601), f.To.Sequence)
}

func TestAckSlot(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t))
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.NoError(t, tap.AckSlot(ctx, dr, "s", numbered(t, tap, 0)))
	require.Equal(t, replication.NotFound, replication.KindOf(tap.AckSlot(ctx, dr, "x", numbered(t, tap, 0))))
	require.Equal(t, replication.InvalidInput, replication.KindOf(tap.AckSlot(ctx, dr, "s", numbered(t, tap, 7))))
	require.Equal(t, replication.PositionLost, replication.KindOf(tap.AckSlot(ctx, dr, "s", replication.Position{})))
	require.NoError(t, tap.CloseSlot(ctx, dr, "s"))
	require.NoError(t, tap.CloseSlot(ctx, dr, "s"))
}

// Rows that all slots have acknowledged are deleted while the journal runs.
func TestAcknowledgedRowsAreDeleted(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t)
	tap := newPrimary(t, inner)
	for _, id := range []string{"a", "b"} {
		_, err := tap.OpenSlot(ctx, dr, id)
		require.NoError(t, err)
	}
	for i := range 3000 {
		put(t, tap, key(i%10), "v")
	}
	require.NoError(t, tap.AckSlot(ctx, dr, "a", numbered(t, tap, 2900)))
	require.Equal(t, 3000, rowsStored(t, inner), "b needs them")
	require.NoError(t, tap.AckSlot(ctx, dr, "b", numbered(t, tap, 2000)))
	require.Eventually(t, func() bool { return rowsStored(t, inner) == 1000 }, 20*time.Second, time.Millisecond)
}

// Nothing above a write that is under way is streamed.
func TestWatermarkWaits(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	started, release := make(chan struct{}), make(chan struct{})
	f.set(func(keys []string) (bool, error) {
		if keys[0] == "core/mounts" {
			close(started)
			<-release
		}
		return true, nil
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() { _ = tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}) })
	<-started
	put(t, tap, "core/auth", "later")
	require.Equal(t, at.Sequence, watermark(t, tap).Sequence)
	// The status of a primary shows this position: it includes every answered write.
	written, err := tap.LastWritten(dr)
	require.NoError(t, err)
	require.GreaterOrEqual(t, written.Sequence, at.Sequence+2)
	short, cancel := context.WithCancel(ctx)
	cancel()
	require.Error(t, tap.WaitFinished(short, dr, written.Sequence))
	close(release)
	require.NoError(t, tap.WaitFinished(ctx, dr, written.Sequence))
	wg.Wait()
	require.Equal(t, at.Sequence+2, watermark(t, tap).Sequence)
}

// After an error of the storage, reading back shows what the write did.
func TestAmbiguousErrors(t *testing.T) {
	t.Parallel()
	for name, landed := range map[string]bool{"landed": true, "not landed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			f := newFaulty(t)
			tap := newPrimary(t, f)
			secondary := newTap(t, newTxn(t))
			put(t, tap, "core/mounts", "before")
			at, err := tap.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			copyAll(t, tap, secondary, dr, at)
			fingerprintOf(t, tap, dr)
			f.set(failWritesOf("core/mounts", landed), nil)
			require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("after")}), errStorage)
			f.set(nil, nil)
			put(t, tap, "core/auth", "v")
			follow(t, tap, secondary, dr, "s", watermark(t, tap).Sequence)
			require.Equal(t, content(t, tap, dr), content(t, secondary, dr))
			require.NoError(t, secondary.StartFingerprint(ctx, dr, indexKey))
			require.Equal(t, fingerprintOf(t, tap, dr), fingerprintOf(t, secondary, dr))
		})
	}
}

// The watermark waits while the storage does not answer, and goes on when it does.
func TestAmbiguousErrorSettledLater(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	fingerprintOf(t, tap, dr)
	asked := make(chan struct{}, 100)
	down := true // guarded by the lock of faulty, through set
	f.set(failWritesOf("core/mounts", true), func(key string) error {
		if key == "core/mounts" && down {
			asked <- struct{}{}
			return errStorage
		}
		return nil
	})
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}), errStorage)
	put(t, tap, "core/auth", "v")
	<-asked
	<-asked
	require.Equal(t, at.Sequence, watermark(t, tap).Sequence)
	f.set(nil, nil)
	require.Eventually(t, func() bool { return watermark(t, tap).Sequence == at.Sequence+2 }, 20*time.Second,
		time.Millisecond)
	put(t, tap, "core/mounts", "w")
}

// The journal can be ended while a write is not settled.
func TestDeactivateWhileUnsettled(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	f.set(failWritesOf("core/mounts", true), func(key string) error {
		if key == "core/mounts" {
			return errStorage
		}
		return nil
	})
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}), errStorage)
	require.NoError(t, tap.Deactivate(ctx))
	f.set(nil, nil)
	put(t, tap, "core/mounts", "w")

	next := newPrimary(t, f)
	r, err := next.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	fr, err := r.Next()
	require.NoError(t, err)
	rows, err := journal.DecodeFrame(fr.Payload, 0, fr.To.Sequence)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "w", string(rows[0].Ops[0].Value), "the row that landed comes with the value of now")
}

// A write that fits alone but not with its row still goes through.
func TestRowAheadWhenTooLarge(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t).(*inmem.TransactionalInmemBackend)
	tap := newPrimary(t, inner)
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	put(t, tap, "core/mounts", strings.Repeat("x", 128<<10))
	require.Equal(t, 1, rowsStored(t, inner))
	_, size := inner.BatchStats()
	require.Less(t, size, uint64(128<<10), "the row was not put in one transaction with the data")

	// The storage refuses for the size, although its limits said nothing.
	f := newFaulty(t)
	tap = newPrimary(t, f)
	_, err = tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	f.set(func(keys []string) (bool, error) {
		if len(keys) > 1 {
			return false, fmt.Errorf("%s; got 2 bytes, max: 1", physical.ErrValueTooLarge)
		}
		return true, nil
	}, nil)
	put(t, tap, "core/mounts", "v")
	require.Equal(t, 1, rowsStored(t, f))
	require.Equal(t, "v", get(t, f, "core/mounts"))
}

// A slot that is opened while writes are under way misses none of them.
func TestOpenSlotDuringWrites(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	started, release := make(chan struct{}), make(chan struct{})
	slotWrites := make(chan string, 100)
	f.set(func(keys []string) (bool, error) {
		switch {
		case keys[0] == "core/mounts":
			close(started)
			<-release
		case strings.HasPrefix(keys[0], "replication/dr/slots/"):
			slotWrites <- keys[0]
		}
		return true, nil
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() { _ = tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}) })
	<-started
	short, cancel := context.WithCancel(ctx)
	cancel()
	_, err := tap.OpenSlot(short, dr, "s")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, slotWrites, "the slot waits for the write")
	close(release)
	wg.Wait()
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	require.Equal(t, uint64(1), at.Sequence)
	require.Len(t, slotWrites, 1)
}

// A primary that never had a slot has no rows to delete after a restart.
func TestRestartWithoutSlotsDeletesNothing(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	tap := newPrimary(t, f)
	for i := range 100 {
		put(t, tap, key(i), "v")
	}
	require.NoError(t, tap.Deactivate(testContext(t)))
	rows := make(chan string, 1000)
	f.set(func(keys []string) (bool, error) {
		for _, k := range keys {
			if strings.HasPrefix(k, "wal/logs/") {
				rows <- k
			}
		}
		return true, nil
	}, nil)
	tap = newPrimary(t, f)
	put(t, tap, key(0), "v")
	require.NoError(t, tap.Deactivate(testContext(t)), "it waits for the housekeeping")
	require.Empty(t, rows)
}

// After a crash the head may not know of a time without slots. A reader must not be served past rows that were never
// stored.
func TestCrashAfterTimeWithoutSlots(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t)
	tap := newPrimary(t, inner)
	put(t, tap, "core/mounts", "without a row")
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	put(t, tap, "core/auth", "with a row")

	next := newPrimary(t, inner)
	before := at
	before.Sequence = 0
	r, err := next.ReadJournal(ctx, dr, "s", before)
	require.NoError(t, err)
	_, err = r.Next()
	require.Equal(t, replication.PositionLost, replication.KindOf(err))
	r, err = next.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	_, err = r.Next()
	require.NoError(t, err)
}

// A frame that sends the value of a later frame early says so.
func TestFrameWithNewerValueIsMarked(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	tap := newPrimary(t, newTxn(t), func(o *storage.Options) { o.RingBytes = 1 })
	at, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	put(t, tap, "core/mounts", "old")
	put(t, tap, "core/auth", strings.Repeat("x", 2<<20))
	put(t, tap, "core/mounts", "new")
	r, err := tap.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	f, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(1), f.To.Sequence, "the large row does not fit beside it")
	require.Equal(t, uint64(3), f.ConsistentFrom)
	f, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, uint64(2), f.To.Sequence)
	require.Zero(t, f.ConsistentFrom)
}
