// SPDX-License-Identifier: MPL-2.0

package journal_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/corpus"
)

var sample = []journal.Op{
	{Kind: journal.Put, Class: keyclass.Shared, Key: "core/mounts", Value: []byte("value")},
	{Kind: journal.Delete, Class: keyclass.Local, Key: "sys/token/id/a"},
	{Kind: journal.Put, Class: keyclass.Unknown, Key: "é", Value: []byte{}},
}

func TestRowRoundTrip(t *testing.T) {
	t.Parallel()
	b := journal.EncodeRow(sample)
	got, err := journal.DecodeRow(b)
	require.NoError(t, err)
	require.Len(t, got, 3)
	for i, op := range got {
		require.Equal(t, sample[i].Kind, op.Kind)
		require.Equal(t, sample[i].Class, op.Class)
		require.Equal(t, sample[i].Key, op.Key)
		require.Nil(t, op.Value)
		if op.Kind == journal.Put {
			require.Equal(t, journal.HashOf(sample[i].Value), op.Hash)
		}
	}
	for i := range b {
		broken := bytes.Clone(b)
		broken[i] ^= 0x40
		_, err := journal.DecodeRow(broken)
		require.ErrorIs(t, err, journal.ErrCorrupt, "byte %d", i)
		_, err = journal.DecodeRow(b[:i])
		require.ErrorIs(t, err, journal.ErrCorrupt, "%d bytes", i)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	t.Parallel()
	e := journal.NewFrameEncoder(10)
	e.Add(11, sample)
	e.Add(300, sample[1:2])
	rows, err := journal.DecodeFrame(e.Payload(), 10, 300)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, uint64(11), rows[0].Sequence)
	require.Equal(t, "value", string(rows[0].Ops[0].Value))
	require.NotNil(t, rows[0].Ops[2].Value, "an empty value is not a deletion")
	require.Equal(t, journal.Delete, rows[1].Ops[0].Kind)
	_, err = journal.DecodeFrame(e.Payload(), 10, 299)
	require.ErrorIs(t, err, journal.ErrCorrupt, "a row beyond the end of the frame")
}

func TestRangeRoundTrip(t *testing.T) {
	t.Parallel()
	pairs := []journal.Pair{{Key: "a", Value: []byte("1")}, {Key: "a/b", Value: []byte("")},
		{Key: "b", Value: []byte("3")}}
	got, err := journal.DecodeRange(journal.EncodeRange(pairs))
	require.NoError(t, err)
	require.Equal(t, pairs, got)
	for _, bad := range [][]journal.Pair{{pairs[1], pairs[0]}, {pairs[0], pairs[0]}, {{Key: ""}}} {
		_, err = journal.DecodeRange(journal.EncodeRange(bad))
		require.ErrorIs(t, err, journal.ErrCorrupt)
	}
}

func TestRowKeysSortByNumber(t *testing.T) {
	t.Parallel()
	keys := []string{journal.RowKey(1, 9), journal.RowKey(1, 10), journal.RowKey(1, 1<<40), journal.RowKey(2, 1),
		journal.RowKey(255, 1)}
	require.True(t, slices.IsSorted(keys))
	require.Equal(t, "wal/logs/00000001/0000000000000009", keys[0])
}

func TestSequencer(t *testing.T) {
	t.Parallel()
	s := journal.NewSequencer(3, 100, 200, 1000, 0)
	take := func() uint64 {
		n, _, _, ok, _ := s.Allocate(100)
		require.True(t, ok)
		return n
	}
	a, b, c := take(), take(), take()
	require.Equal(t, []uint64{101, 102, 103}, []uint64{a, b, c})
	s.Finish(b, &journal.Row{Sequence: b, Bytes: 400})
	require.Equal(t, uint64(100), s.Watermark(), "101 is not finished")
	rows, to, ok := s.Rows(100, 1<<20)
	require.True(t, ok)
	require.Empty(t, rows)
	require.Equal(t, uint64(100), to)
	moved := s.Moved(100)
	s.Finish(a, nil)
	<-moved
	require.Nil(t, s.Moved(100))
	require.Equal(t, uint64(102), s.Watermark())
	s.Finish(c, &journal.Row{Sequence: c, Bytes: 400})
	rows, to, ok = s.Rows(100, 1)
	require.True(t, ok)
	require.Len(t, rows, 1, "one row is always given")
	require.Equal(t, uint64(102), to)
	d := take()
	s.Finish(d, &journal.Row{Sequence: d, Bytes: 400})
	_, _, ok = s.Rows(100, 1)
	require.False(t, ok, "the ring is bounded in bytes")
	rows, to, ok = s.Rows(102, 1<<20)
	require.True(t, ok)
	require.Len(t, rows, 2)
	require.Equal(t, uint64(104), to)
}

func TestSequencerBoundsItsRows(t *testing.T) {
	t.Parallel()
	s := journal.NewSequencer(1, 0, 100, 1<<20, 3)
	for n := range uint64(5) {
		s.Allocate(100)
		s.Finish(n+1, &journal.Row{Sequence: n + 1, Bytes: 10})
	}
	_, _, ok := s.Rows(1, 1<<20)
	require.False(t, ok)
	rows, _, ok := s.Rows(2, 1<<20)
	require.True(t, ok)
	require.Len(t, rows, 3)
}

func TestSequencerReserve(t *testing.T) {
	t.Parallel()
	s := journal.NewSequencer(1, 0, 4, 1000, 0)
	lows := 0
	for range 4 {
		_, _, low, ok, _ := s.Allocate(4)
		require.True(t, ok)
		if low {
			lows++
		}
	}
	require.Equal(t, 1, lows)
	_, _, low, ok, wait := s.Allocate(4)
	require.False(t, ok)
	require.True(t, low)
	s.Reserve(8)
	<-wait
	n, _, _, ok, _ := s.Allocate(4)
	require.True(t, ok)
	require.Equal(t, uint64(5), n)
	for range 3 {
		s.Allocate(4)
	}
	_, _, _, _, wait = s.Allocate(4)
	s.Close()
	<-wait
	<-s.Moved(0)
}

// Many writers that finish in any order: the watermark ends at the last number,
// and the ring has the rows in order.
func TestSequencerConcurrent(t *testing.T) {
	t.Parallel()
	s := journal.NewSequencer(1, 0, 1<<40, 1<<30, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				n, _, _, _, _ := s.Allocate(1 << 20)
				var row *journal.Row
				if n%7 != 0 {
					row = &journal.Row{Sequence: n, Bytes: 1}
				}
				s.Finish(n, row)
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(8000), s.Watermark())
	rows, to, ok := s.Rows(0, 1<<30)
	require.True(t, ok)
	require.Equal(t, uint64(8000), to)
	require.Len(t, rows, 8000-8000/7)
	require.True(t, slices.IsSortedFunc(rows, func(a, b *journal.Row) int { return int(a.Sequence) - int(b.Sequence) }))
}

func FuzzDecodeRow(f *testing.F) {
	corpus.Add(f, journal.EncodeRow(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := journal.DecodeRow(b)
		if err != nil {
			require.ErrorIs(t, err, journal.ErrCorrupt)
			return
		}
		require.LessOrEqual(t, len(ops), len(b))
	})
}

// The checksum would hide the decoder from the fuzzer, so it is put right.
func FuzzDecodePayloads(f *testing.F) {
	e := journal.NewFrameEncoder(0)
	e.Add(1, sample)
	corpus.Add(f, e.Payload(), journal.EncodeRange([]journal.Pair{{Key: "a", Value: []byte("1")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = journal.FixChecksum(b)
		if rows, err := journal.DecodeFrame(b, 0, 1<<32); err == nil {
			enc := journal.NewFrameEncoder(0)
			for _, r := range rows {
				enc.Add(r.Sequence, r.Ops)
			}
			again, err := journal.DecodeFrame(enc.Payload(), 0, 1<<32)
			require.NoError(t, err)
			require.Equal(t, rows, again)
		}
		if pairs, err := journal.DecodeRange(b); err == nil {
			again, err := journal.DecodeRange(journal.EncodeRange(pairs))
			require.NoError(t, err)
			require.Equal(t, pairs, again)
		}
		_, _ = journal.DecodeRow(b)
	})
}

// What passes the decoder is a question, or an answer to it, and nothing else: it is
// the same again when it is encoded.
func FuzzDecodeQuestions(f *testing.F) {
	asks := []journal.Ask{{UpTo: "b", Level: 4}, {After: "b", UpTo: "bc", Level: journal.Values}, {After: "c"}}
	q := journal.Question{From: 7, Asks: asks}
	a := journal.Answer{AsOf: 9, Ranges: []journal.AnswerRange{
		{Parts: []journal.Part{{UpTo: "aa", Digest: journal.Digest{1}, Count: 3}, {UpTo: "b", Count: 1}}},
		{Pairs: []journal.Pair{{Key: "ba", Value: []byte("1")}, {Key: "bb", Value: []byte{}}}, Cut: true},
		{Parts: []journal.Part{{Count: 4}}},
	}}
	corpus.Add(f, q.Encode(), a.Encode(asks))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = journal.FixChecksum(b)
		if q, err := journal.DecodeQuestion(b); err == nil {
			again, err := journal.DecodeQuestion(q.Encode())
			require.NoError(t, err)
			require.Equal(t, q, again)
		}
		if a, err := journal.DecodeAnswer(b, asks); err == nil {
			again, err := journal.DecodeAnswer(a.Encode(asks), asks)
			require.NoError(t, err)
			require.Equal(t, a, again)
			if len(a.Ranges) > 1 {
				for _, p := range a.Ranges[1].Pairs {
					require.Greater(t, p.Key, "b")
					require.LessOrEqual(t, p.Key, "bc")
				}
			}
		}
	})
}

func TestQuestionsAndAnswers(t *testing.T) {
	t.Parallel()
	asks := []journal.Ask{{UpTo: "logical/a", Level: 12}, {After: "logical/b", UpTo: "logical/bcd", Level: journal.Values},
		{After: "logical/x"}}
	q := &journal.Question{From: 7, Asks: asks}
	got, err := journal.DecodeQuestion(q.Encode())
	require.NoError(t, err)
	require.Equal(t, q, got)
	a := &journal.Answer{AsOf: 9, Ranges: []journal.AnswerRange{
		{Parts: []journal.Part{{UpTo: "auth/", Digest: journal.Digest{1}, Count: 3}, {UpTo: "logical/a", Count: 1}}},
		{Pairs: []journal.Pair{{Key: "logical/bc", Value: []byte("1")}}, Cut: true},
	}}
	answer, err := journal.DecodeAnswer(a.Encode(asks), asks)
	require.NoError(t, err)
	require.Equal(t, a, answer)

	for what, bad := range map[string]journal.Question{
		"overlap":       {Asks: []journal.Ask{{UpTo: "b"}, {After: "a", UpTo: "c"}}},
		"after the end": {Asks: []journal.Ask{{}, {After: "a", UpTo: "c"}}},
		"backwards":     {Asks: []journal.Ask{{After: "b", UpTo: "a"}}},
		"no level":      {Asks: []journal.Ask{{Level: journal.Values + 1}}},
	} {
		_, err := journal.DecodeQuestion(bad.Encode())
		require.ErrorIs(t, err, journal.ErrCorrupt, what)
	}
	for what, bad := range map[string]journal.AnswerRange{
		"no parts":       {},
		"a part outside": {Parts: []journal.Part{{UpTo: "m"}, {}}},
		"out of order":   {Parts: []journal.Part{{UpTo: "b"}, {UpTo: "a"}, {}}},
	} {
		b := journal.Answer{Ranges: []journal.AnswerRange{bad}}
		_, err := journal.DecodeAnswer(b.Encode(asks), asks)
		require.ErrorIs(t, err, journal.ErrCorrupt, what)
	}
	outside := journal.Answer{Ranges: []journal.AnswerRange{{Pairs: []journal.Pair{{Key: "logical/zzz"}}}}}
	_, err = journal.DecodeAnswer(outside.Encode(asks[1:]), asks[1:])
	require.ErrorIs(t, err, journal.ErrCorrupt)
	many := journal.Answer{Ranges: make([]journal.AnswerRange, 2)}
	_, err = journal.DecodeAnswer(many.Encode([]journal.Ask{asks[1], asks[1]}), asks[1:2])
	require.ErrorIs(t, err, journal.ErrCorrupt, "more than was asked")
}
