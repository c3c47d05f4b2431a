// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// inBubble runs a test in fake time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func withCaps(c retention.Caps) func(*storage.Options) {
	return func(o *storage.Options) { o.Caps = c }
}

// pass lets time go by and the housekeeping do what is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func openSlot(t *testing.T, tap *storage.Tap, id string) replication.Position {
	t.Helper()
	at, err := tap.OpenSlot(testContext(t), dr, id)
	require.NoError(t, err)
	return at
}

func slotOf(t *testing.T, tap *storage.Tap, id string) retention.Status {
	t.Helper()
	synctest.Wait()
	for _, s := range tap.Slots(dr) {
		if s.ID == id {
			return s
		}
	}
	require.FailNow(t, "there is no slot "+id)
	return retention.Status{}
}

// requireLost asserts that a slot is of no use to its secondary any more.
func requireLost(t *testing.T, tap *storage.Tap, id string, at replication.Position, why string) {
	t.Helper()
	s := slotOf(t, tap, id)
	require.Equal(t, retention.Lost, s.State)
	require.Contains(t, s.Reason, why)
	require.Zero(t, s.RetainedBytes)
	err := tap.AckSlot(testContext(t), dr, id, at)
	require.Equal(t, replication.PositionLost, replication.KindOf(err), "%v", err)
	_, err = tap.ReadJournal(testContext(t), dr, id, at)
	require.Equal(t, replication.PositionLost, replication.KindOf(err), "%v", err)
}

func fill(t *testing.T, tap *storage.Tap, rows int) {
	t.Helper()
	for i := range rows {
		put(t, tap, key(i), "value")
	}
	synctest.Wait()
}

// rowSize is that of the rows of fill.
const rowSize = 37 + 1 + 1 + 1 + 1 + len("logical/uuid/key-00000") + 16 + 4

type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// The rows of a lost slot are deleted, then the node crashes. The position of its secondary must not look like one of a
// lost history.
func TestLostSlotIsNoLostHistory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		inner := newTxn(t)
		tap := newPrimary(t, inner, withCaps(retention.Caps{Bytes: 100 * uint64(rowSize)}))
		opened := openSlot(t, tap, "s")
		fill(t, tap, 50)
		had := watermark(t, tap)
		fill(t, tap, 100)
		requireLost(t, tap, "s", opened, "slot_max_retained")
		pass(time.Minute)
		require.Empty(t, keysOf(t, inner, journal.RowPrefix))
		require.NoError(t, tap.Abandon(testContext(t)))

		next := newPrimary(t, inner)
		next.Given(dr, had)
		require.False(t, next.HistoryLost())
	})
}

func TestSlotOverItsCapInBytesIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log safeLog
		inner := newTxn(t)
		tap := newPrimary(t, inner, withCaps(retention.Caps{Bytes: 1000 * uint64(rowSize)}),
			func(o *storage.Options) { o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log}) })
		away := openSlot(t, tap, "away")
		openSlot(t, tap, "good")
		r, err := tap.ReadJournal(testContext(t), dr, "away", away)
		require.NoError(t, err)
		defer r.Close()
		fill(t, tap, 500)
		s := slotOf(t, tap, "away")
		require.Equal(t, retention.Active, s.State)
		require.EqualValues(t, 500*rowSize, s.RetainedBytes)
		require.NoError(t, tap.AckSlot(testContext(t), dr, "good", watermark(t, tap)))
		require.Less(t, slotOf(t, tap, "good").RetainedBytes, uint64(10*rowSize))

		fill(t, tap, 350)
		require.Equal(t, retention.Warning, slotOf(t, tap, "away").State)
		fill(t, tap, 100)
		require.Equal(t, 1, log.count("near the cap"), "warned of once")
		require.NoError(t, tap.AckSlot(testContext(t), dr, "good", watermark(t, tap)))
		require.Equal(t, 0, log.count("nothing is retained"))

		fill(t, tap, 100)
		requireLost(t, tap, "away", away, "slot_max_retained")
		require.Equal(t, 1, log.count("near the cap"))
		require.Equal(t, 1, log.count("nothing is retained"))
		_, err = r.Next()
		require.Equal(t, replication.PositionLost, replication.KindOf(err), "a reader from memory ends too")

		// The other one is as it was, and what it has acknowledged is deleted.
		require.Equal(t, retention.Active, slotOf(t, tap, "good").State)
		require.NoError(t, tap.AckSlot(testContext(t), dr, "good", watermark(t, tap)))
		put(t, tap, "core/mounts", "after")
		pass(5 * time.Minute)
		require.Less(t, rowsStored(t, inner), 300)
		_, err = tap.ReadJournal(testContext(t), dr, "good", watermark(t, tap))
		require.NoError(t, err)
	})
}

// When the last slot is lost, all rows are deleted and no more are stored. A slot that is opened later retains again.
func TestNothingIsStoredForLostSlots(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ctx := testContext(t)
		inner := newTxn(t)
		tap := newPrimary(t, inner, withCaps(retention.Caps{Bytes: 100 * uint64(rowSize)}))
		at := openSlot(t, tap, "s")
		fill(t, tap, 150)
		requireLost(t, tap, "s", at, "slot_max_retained")
		pass(5 * time.Minute) // for a row that was being written then
		require.Zero(t, rowsStored(t, inner))
		fill(t, tap, 150)
		require.Zero(t, rowsStored(t, inner))

		at = openSlot(t, tap, "s")
		require.Equal(t, watermark(t, tap), at)
		fill(t, tap, 20)
		require.Equal(t, 20, rowsStored(t, inner))
		s := slotOf(t, tap, "s")
		require.Equal(t, retention.Active, s.State)
		require.EqualValues(t, 20*rowSize, s.RetainedBytes)
		require.NoError(t, tap.AckSlot(ctx, dr, "s", watermark(t, tap)))
	})
}

func TestSlotOverItsCapInAgeIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		inner := newTxn(t)
		tap := newPrimary(t, inner, withCaps(retention.Caps{Age: 72 * time.Hour}))
		away, there := openSlot(t, tap, "away"), openSlot(t, tap, "there")
		// Rows do not age while nothing is written.
		pass(80 * time.Hour)
		require.Zero(t, slotOf(t, tap, "away").RetainedAge)
		fill(t, tap, 300)
		hour := func() {
			for range 7 {
				pass(510 * time.Second)
				// It has a session, and acknowledges nothing.
				require.NoError(t, tap.AckSlot(testContext(t), dr, "there", there))
			}
		}
		states := map[int]retention.State{40: retention.Active, 65: retention.Warning, 71: retention.Warning}
		for h := range 72 {
			if want := states[h]; want != "" {
				s := slotOf(t, tap, "away")
				require.Equal(t, want, s.State, "after %d hours: %s", h, s.RetainedAge)
				require.InDelta(t, h, s.RetainedAge.Hours(), 2)
			}
			hour()
		}
		for range 3 {
			hour()
		}
		requireLost(t, tap, "away", away, "slot_max_age")
		require.Equal(t, retention.Warning, slotOf(t, tap, "there").State, "one that is there is not cut")
		require.Equal(t, 300, rowsStored(t, inner), "they are retained for the other")
		pass(time.Hour)
		requireLost(t, tap, "there", there, "slot_max_age")
		require.Zero(t, rowsStored(t, inner))
	})
}

// What a slot retains is known after a crash and after an orderly end.
func TestRetainedSurvivesARestart(t *testing.T) {
	for _, orderly := range []bool{true, false} {
		t.Run(fmt.Sprintf("orderly %t", orderly), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				inner := newTxn(t)
				caps := withCaps(retention.Caps{Bytes: 1000 * uint64(rowSize), Age: 72 * time.Hour})
				tap := newPrimary(t, inner, caps)
				at := openSlot(t, tap, "s")
				fill(t, tap, 300)
				pass(40 * time.Hour)
				before := slotOf(t, tap, "s")
				if orderly {
					require.NoError(t, tap.Deactivate(testContext(t)))
				} else {
					require.NoError(t, tap.Abandon(testContext(t)))
				}
				pass(10 * time.Hour)

				tap = newPrimary(t, inner, caps)
				s := slotOf(t, tap, "s")
				require.Equal(t, retention.Active, s.State)
				require.Equal(t, before.RetainedBytes, s.RetainedBytes)
				require.InDelta(t, before.RetainedAge.Hours()+10, s.RetainedAge.Hours(), 0.1)
				// The first of these bytes are those of before: they count together.
				fill(t, tap, 600)
				require.Equal(t, retention.Warning, slotOf(t, tap, "s").State)
				fill(t, tap, 110)
				requireLost(t, tap, "s", at, "slot_max_retained")

				require.NoError(t, tap.Abandon(testContext(t)))
				tap = newPrimary(t, inner, caps)
				requireLost(t, tap, "s", at, "slot_max_retained")
				pass(5 * time.Minute)
				require.Zero(t, rowsStored(t, inner))
			})
		})
	}
}

// A primary that was down for longer than the cap gives its secondaries time to connect before it loses their slots.
func TestSlotIsNotLostForThePrimarysAbsence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ctx := testContext(t)
		inner := newTxn(t)
		caps := withCaps(retention.Caps{Age: 72 * time.Hour})
		tap := newPrimary(t, inner, caps)
		gone := openSlot(t, tap, "gone")
		openSlot(t, tap, "back")
		fill(t, tap, 10)
		require.NoError(t, tap.Deactivate(ctx))
		pass(100 * time.Hour)
		tap = newPrimary(t, inner, caps)
		pass(5 * time.Minute)
		require.Equal(t, retention.Warning, slotOf(t, tap, "back").State)
		require.NoError(t, tap.AckSlot(ctx, dr, "back", watermark(t, tap)))
		pass(10 * time.Minute)
		requireLost(t, tap, "gone", gone, "slot_max_age")
		require.Equal(t, retention.Active, slotOf(t, tap, "back").State)
	})
}

// Copies that take longer than the cap come to an end: each copy that is cut off doubles what the next one may retain,
// until the secondary acknowledges.
func TestCopiesThatAreCutOffComeToAnEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ctx := testContext(t)
		inner := newTxn(t)
		caps := withCaps(retention.Caps{Bytes: 100 * uint64(rowSize)})
		tap := newPrimary(t, inner, caps)
		copies := 0
		for done := false; !done; copies++ {
			at := openSlot(t, tap, "s")
			fill(t, tap, 700) // while it copies
			if copies == 1 {
				require.NoError(t, tap.Abandon(ctx))
				tap = newPrimary(t, inner, caps)
			}
			done = tap.AckSlot(ctx, dr, "s", at) == nil
			require.Less(t, copies, 10)
		}
		require.Equal(t, 4, copies, "100, 200, 400, 800 rows")
		// From now on the cap is the one that was set.
		require.NoError(t, tap.AckSlot(ctx, dr, "s", watermark(t, tap)))
		at := watermark(t, tap)
		fill(t, tap, 150)
		requireLost(t, tap, "s", at, "slot_max_retained")
		at = openSlot(t, tap, "s")
		fill(t, tap, 150)
		requireLost(t, tap, "s", at, "slot_max_retained")
	})
}

// A slot is lost durably before it is lost in memory. Until then none of its rows are deleted.
func TestSlotHoldsUntilItsLossIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		inner := newFaulty(t)
		tap := newPrimary(t, inner, withCaps(retention.Caps{Bytes: 300 * uint64(rowSize)}))
		at := openSlot(t, tap, "s")
		tries := 0
		inner.set(func(keys []string) (bool, error) {
			if strings.Contains(keys[0], "/slots/") {
				tries++
				return false, errStorage
			}
			return true, nil
		}, nil)
		fill(t, tap, 400)
		pass(10 * time.Second)
		require.Greater(t, tries, 2)
		require.Equal(t, retention.Warning, slotOf(t, tap, "s").State)
		require.Equal(t, 400, rowsStored(t, inner))
		require.NoError(t, tap.AckSlot(testContext(t), dr, "s", at))
		inner.set(nil, nil)
		pass(5 * time.Minute)
		requireLost(t, tap, "s", at, "slot_max_retained")
		require.Zero(t, rowsStored(t, inner))
	})
}

// A slot may be opened anew while its loss is written. Then the new slot counts, before and after a restart.
func TestSlotOpenedAnewIsNotLostWithTheOld(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newFaulty(t)
	caps := withCaps(retention.Caps{Bytes: 300 * uint64(rowSize)})
	tap := newPrimary(t, inner, caps)
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	writing, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	inner.set(func(keys []string) (bool, error) {
		if strings.Contains(keys[0], "/slots/") {
			once.Do(func() { close(writing); <-held })
		}
		return true, nil
	}, nil)
	for i := range 310 {
		put(t, tap, key(i), "value")
	}
	<-writing
	opened := make(chan replication.Position)
	go func() {
		at, _ := tap.OpenSlot(ctx, dr, "s")
		opened <- at
	}()
	// It may come before the record of the loss or after it.
	close(held)
	at := <-opened
	require.False(t, at.Epoch.IsZero())
	require.NoError(t, tap.AckSlot(ctx, dr, "s", at))
	require.NoError(t, tap.Abandon(ctx))
	inner.set(nil, nil)
	tap = newPrimary(t, inner, caps)
	require.Equal(t, retention.Active, tap.Slots(dr)[0].State)
	require.NoError(t, tap.AckSlot(ctx, dr, "s", at))
}

// With no caps nothing is ever lost.
func TestSlotWithoutCapsIsNeverLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		inner := newTxn(t)
		tap := newPrimary(t, inner)
		at := openSlot(t, tap, "s")
		for range 150 { // more than there are marks
			fill(t, tap, 1)
			pass(2 * time.Hour)
		}
		s := slotOf(t, tap, "s")
		require.Equal(t, retention.Active, s.State)
		require.EqualValues(t, 150*rowSize, s.RetainedBytes)
		require.InDelta(t, 300, s.RetainedAge.Hours(), 10)
		require.NoError(t, tap.AckSlot(testContext(t), dr, "s", at))
		require.Equal(t, 150, rowsStored(t, inner))
		head, err := inner.Get(context.Background(), "replication/journal/head")
		require.NoError(t, err)
		require.Less(t, len(head.Value), 8<<10, "what is known of them stays small")
	})
}
