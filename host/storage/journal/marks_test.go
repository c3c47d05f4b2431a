// SPDX-License-Identifier: MPL-2.0

package journal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
)

func mark(sequence, bytes uint64, at time.Duration) journal.Mark {
	return journal.Mark{Sequence: sequence, Bytes: bytes, Time: int64(at)}
}

func at(d time.Duration) time.Time { return time.Unix(0, int64(d)) }

func TestMarksTellBytesAndAge(t *testing.T) {
	t.Parallel()
	var m journal.Marks
	m = m.Add(mark(100, 0, time.Hour))
	m = m.Add(mark(200, 10_000, 2*time.Hour))
	m = m.Add(mark(300, 40_000, 50*time.Hour))
	now := mark(400, 50_000, 60*time.Hour)

	for sequence, bytes := range map[uint64]uint64{
		0: 0, 100: 0, 150: 5_000, 200: 10_000, 250: 25_000, 300: 40_000, 350: 45_000, 400: 50_000, 500: 50_000,
	} {
		require.Equal(t, bytes, m.BytesAt(sequence, now), "at %d", sequence)
	}
	// The row after 200 may have come just before the mark at 300.
	require.Equal(t, 10*time.Hour, m.AgeAfter(200, at(60*time.Hour)))
	require.Equal(t, 58*time.Hour, m.AgeAfter(199, at(60*time.Hour)))
	require.Zero(t, m.AgeAfter(300, at(60*time.Hour)), "it is younger than the last mark")
	require.Zero(t, m.AgeAfter(100, at(time.Minute)), "a clock that was set back makes nothing older")

	m = m.Prune(250)
	require.Equal(t, uint64(200), m[0].Sequence, "the one below is needed for what is between")
	require.Equal(t, uint64(25_000), m.BytesAt(250, now))
	require.Equal(t, journal.Marks{mark(300, 40_000, 50*time.Hour)}, m.Prune(1000))
}

func TestMarksThatSayNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	var m journal.Marks
	m = m.Add(mark(0, 0, 0))
	m = m.Add(mark(5, 10, time.Hour))
	require.Len(t, m.Add(mark(5, 12, 2*time.Hour)), 2)
	require.Len(t, m.Add(mark(4, 12, 2*time.Hour)), 2)
	require.Len(t, m.Add(mark(6, 9, 2*time.Hour)), 2)
	require.Equal(t, mark(5, 10, time.Hour), m.Last())
	require.Zero(t, journal.Marks(nil).Last())
	require.Zero(t, journal.Marks(nil).BytesAt(7, journal.Mark{}))
}

// However many there were, they stay few, and what they tell stays right to a few
// parts of a hundred of the whole.
func TestMarksAreBoundedAndStillTell(t *testing.T) {
	t.Parallel()
	var m journal.Marks
	const n = 100_000
	bytes := func(i int) uint64 { // slow, a burst, slow
		b := uint64(i) * 10
		if i > n/2 {
			b += uint64(min(i-n/2, n/10)) * 500
		}
		return b
	}
	for i := range n {
		m = m.Add(mark(uint64(i), bytes(i), time.Duration(i)*time.Second))
		require.LessOrEqual(t, len(m), journal.MarksMax)
	}
	now := mark(n, bytes(n), n*time.Second)
	for i := 0; i < n; i += 997 {
		require.InDelta(t, bytes(i), m.BytesAt(uint64(i), now), float64(bytes(n))*0.05, "at %d", i)
		age := m.AgeAfter(uint64(i), at(n*time.Second))
		real := time.Duration(n-i) * time.Second
		require.LessOrEqual(t, age, real)
		require.InDelta(t, real.Seconds(), age.Seconds(), n*0.05, "at %d", i)
	}
}
