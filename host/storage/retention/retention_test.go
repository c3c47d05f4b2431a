// SPDX-License-Identifier: MPL-2.0

package retention

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What a slot retains is decided without storage and without goroutines.
func TestRetention(t *testing.T) {
	t.Parallel()
	epoch := replication.Epoch{Generation: 1}
	r := New(&journal.Head{}, journal.NewSequencer(7, 10, 100, 1<<20, 0), Caps{Bytes: 100})
	require.False(t, r.Retains())
	at, s := r.Open(replication.DR, "west", epoch)
	require.EqualValues(t, 10, at)
	require.NoError(t, r.Holds(replication.DR, "west"))
	require.Equal(t, replication.NotFound, replication.KindOf(r.Holds(replication.Performance, "west")))

	state := func() Status { return r.measure(s, time.Now()) }
	store := func(bytes int) {
		n, retain, _, ok, _ := r.seq.Allocate(10)
		require.True(t, ok && retain)
		r.Count(bytes)
		r.seq.Finish(n, nil)
	}
	require.Equal(t, Status{ID: "west", State: Active, Acknowledged: 10, Allowed: Caps{Bytes: 100}}, state())
	store(79)
	require.Equal(t, Active, state().State)
	require.Empty(t, r.Look())
	store(1)
	require.Equal(t, Warning, state().State)
	require.Empty(t, state().Reason)
	require.True(t, r.Look()[0].First)
	require.False(t, r.Look()[0].First)
	store(21)
	require.Contains(t, state().Reason, "slot_max_retained")

	why := state().Reason
	require.Equal(t, why, r.Losing(s, why).Lost)
	require.NoError(t, r.Holds(replication.DR, "west"), "it is not lost before that is durable")
	r.Lose(s, why)
	require.Equal(t, replication.PositionLost, replication.KindOf(r.Complete(replication.DR, "west", 10)))
	require.False(t, r.Retains())
	_, again := r.Open(replication.DR, "west", epoch)
	require.EqualValues(t, 200, again.allowance(r.caps.Bytes), "a copy that the cap has cut off gets twice as much")
	require.Nil(t, r.Losing(s, why), "it is another one now")
	r.Incomplete(replication.DR)
	require.Equal(t, replication.PositionLost, replication.KindOf(r.Complete(replication.DR, "west", 10)),
		"the rows lack something")
	require.NoError(t, r.Complete(replication.DR, "west", 13))
	r.Close(replication.DR, "west")
	require.Equal(t, replication.NotFound, replication.KindOf(r.Holds(replication.DR, "west")))
}

// Rows are deleted when all slots have acknowledged them durably. From then on no reader may begin there.
func TestRowsThatNobodyNeedsAreDeleted(t *testing.T) {
	t.Parallel()
	epoch := replication.Epoch{Generation: 1}
	seq := journal.NewSequencer(7, 10, 100, 1<<20, 0)
	r := New(&journal.Head{RowsAfter: 10}, seq, Caps{})
	for _, id := range []string{"west", "east"} {
		_, s := r.Open(replication.DR, id, epoch)
		require.True(t, r.Opened(replication.DR, id, r.At(epoch, 10)))
		require.NotNil(t, s)
	}
	for range 5 {
		n, _, _, _, _ := seq.Allocate(10)
		seq.Finish(n, nil)
	}
	for _, id := range []string{"west", "east"} {
		from, to, _ := r.Deletable(1)
		require.Equal(t, from, to, "%s has acknowledged nothing", id)
		_, err := r.Ack(replication.DR, id, r.At(epoch, 14))
		require.NoError(t, err)
		slots, records := r.Ahead(false)
		require.Len(t, slots, 1)
		require.True(t, r.Recorded(slots[0], records[0]))
	}
	from, to, _ := r.Deletable(5)
	require.Equal(t, from, to, "they are few")
	require.NoError(t, r.Stored(replication.DR, "west", 13))
	from, to, _ = r.Deletable(4)
	require.Equal(t, []uint64{10, 14}, []uint64{from, to})
	require.Equal(t, replication.PositionLost, replication.KindOf(r.Stored(replication.DR, "west", 13)))
	r.Deleted(14)
	from, to, _ = r.Deletable(1)
	require.Equal(t, from, to)
}

// That a secondary was heard of is written once a minute, and at an orderly end.
func TestHeardIsWrittenNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		epoch := replication.Epoch{Generation: 1}
		r := New(&journal.Head{}, journal.NewSequencer(7, 10, 100, 1<<20, 0), Caps{})
		_, s := r.Open(replication.DR, "west", epoch)
		require.Equal(t, time.Now().Unix(), r.Recording(s, r.At(epoch, 10)).Heard)
		written := 0
		for range 10 * heardEvery {
			time.Sleep(time.Second)
			due, err := r.Seen(replication.DR, "west")
			require.NoError(t, err)
			slots, records := r.Ahead(false)
			require.Equal(t, due, len(slots) == 1)
			for i := range slots {
				written++
				require.Equal(t, time.Now().Unix(), records[i].Heard)
				require.True(t, r.Recorded(slots[i], records[i]))
			}
		}
		require.Equal(t, 10, written)
		none, _ := r.Ahead(true)
		require.Empty(t, none, "it is written already")
		time.Sleep(time.Second)
		_, err := r.Seen(replication.DR, "west")
		require.NoError(t, err)
		heard := time.Now()
		_, records := r.Ahead(true)
		require.Equal(t, heard.Unix(), records[0].Heard)

		time.Sleep(time.Hour)
		again := New(&journal.Head{}, journal.NewSequencer(8, 200, 300, 1<<20, 0), Caps{})
		again.Load(replication.DR, epoch, records)
		require.Equal(t, heard.Unix(), again.Slots(replication.DR)[0].Heard.Unix(), "a restart is no sign of the secondary")
		none, _ = again.Ahead(true)
		require.Empty(t, none)
	})
}
