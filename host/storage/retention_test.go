// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// What a slot retains is decided without storage and without goroutines.
func TestRetention(t *testing.T) {
	t.Parallel()
	r := &retention{
		term: 7, seq: journal.NewSequencer(7, 10, 100, 1<<20, 0), chores: make(chan struct{}, 1),
		caps: SlotCaps{Bytes: 100}, slots: map[replication.Mode]map[string]*slot{},
	}
	require.Zero(t, r.openSlots())
	at, s := r.retainFor(replication.DR, "west", replication.Epoch{Generation: 1})
	require.EqualValues(t, 10, at)
	require.NoError(t, r.holds(replication.DR, "west"))
	require.Equal(t, replication.NotFound, replication.KindOf(r.holds(replication.Performance, "west")))

	state := func() SlotStatus { return r.measure("west", s, time.Now()) }
	store := func(bytes int) {
		n, retain, _, ok, _ := r.seq.Allocate(10)
		require.True(t, ok && retain)
		r.stored(bytes)
		r.seq.Finish(n, nil)
	}
	require.Equal(t, SlotStatus{ID: "west", State: SlotActive}, state())
	store(79)
	require.Equal(t, SlotActive, state().State)
	store(1)
	require.Equal(t, SlotWarning, state().State)
	require.Empty(t, state().Reason)
	store(21)
	require.Contains(t, state().Reason, "slot_max_retained")

	s.lost = state().Reason
	require.Equal(t, replication.PositionLost, replication.KindOf(r.complete(replication.DR, "west", 10)))
	require.Zero(t, r.openSlots())
	_, again := r.retainFor(replication.DR, "west", replication.Epoch{Generation: 1})
	require.EqualValues(t, 200, again.allowance(r.caps.Bytes), "a copy that the cap has cut off gets twice as much")
	r.incomplete(replication.DR)
	require.Equal(t, replication.PositionLost, replication.KindOf(r.complete(replication.DR, "west", 10)),
		"the rows lack something")
	require.NoError(t, r.complete(replication.DR, "west", 13))
	r.forget(replication.DR, "west")
	require.Equal(t, replication.NotFound, replication.KindOf(r.holds(replication.DR, "west")))
}
