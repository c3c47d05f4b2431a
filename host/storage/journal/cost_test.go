// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// allocated is what a call allocates, garbage included.
func allocated(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// most is what a message of a size may cause: slices that grow leave garbage.
func most(base, size int) int { return 3 * (base + costFactor*size) }

func long(i int) string { return strings.Repeat("k", MaxKey-9) + fmt.Sprintf("%08d", i) }

// Not parallel, as those below: they count what the process allocates.
func TestQuestionsDoNotInflate(t *testing.T) {
	q := &Question{}
	for i := range AsksMax {
		q.Asks = append(q.Asks, Ask{After: long(2 * i), UpTo: long(2*i + 1)})
	}
	raw := q.Encode()
	grown := allocated(func() { _, err := DecodeQuestion(raw); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(questionBase, len(raw)))

	// One as secondaries ask is read.
	q = &Question{}
	for i := range 2048 {
		q.Asks = append(q.Asks, Ask{After: fmt.Sprintf("logical/%064d", 2*i), UpTo: fmt.Sprintf("logical/%064d", 2*i+1),
			Level: Values})
	}
	got, err := DecodeQuestion(q.Encode())
	require.NoError(t, err)
	require.Equal(t, q, got)
}

func TestAnswersDoNotInflate(t *testing.T) {
	asks := []Ask{{After: "a", Level: 1}}
	answer := func(parts int, key func(int) string) []byte {
		a := &Answer{Ranges: []AnswerRange{{}}}
		for i := range parts {
			a.Ranges[0].Parts = append(a.Ranges[0].Parts, Part{UpTo: key(i)})
		}
		a.Ranges[0].Parts[parts-1].UpTo = ""
		return a.Encode(asks)
	}
	raw := answer(8192, long)
	grown := allocated(func() { _, err := DecodeAnswer(raw, asks); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(costBase, len(raw)))

	_, err := DecodeAnswer(answer(50_000, func(i int) string { return fmt.Sprintf("logical/%0200d", i) }), asks)
	require.NoError(t, err, "one as primaries give")
}

func TestPairsOfAnswersDoNotInflate(t *testing.T) {
	asks := []Ask{{Level: Values}}
	a := &Answer{Ranges: []AnswerRange{{}}}
	for i := range 8192 {
		a.Ranges[0].Pairs = append(a.Ranges[0].Pairs, Pair{Key: long(i)})
	}
	raw := a.Encode(asks)
	grown := allocated(func() { _, err := DecodeAnswer(raw, asks); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(costBase, len(raw)))
}

// Rows without operations, and operations of a few bytes.
func TestFramesAndRangesDoNotInflate(t *testing.T) {
	const n = 4 << 20
	rows := binary.AppendUvarint([]byte{frameVersion}, n)
	for range n {
		rows = append(rows, 1, 0)
	}
	rows = seal(rows)
	grown := allocated(func() { _, err := DecodeFrame(rows, 0, n); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(costBase, len(rows)))

	e := NewFrameEncoder(0)
	ops := make([]Op, MaxOps)
	for i := range ops {
		ops[i] = Op{Kind: Delete, Key: "k"}
	}
	e.Add(1, ops)
	frame := e.Payload()
	grown = allocated(func() { _, err := DecodeFrame(frame, 0, 1); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(costBase, len(frame)))

	pairs := make([]Pair, n/4)
	for i := range pairs {
		pairs[i].Key = string(binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	rng := EncodeRange(pairs)
	grown = allocated(func() { _, err := DecodeRange(rng); require.ErrorIs(t, err, ErrCorrupt) })
	require.Less(t, grown, most(costBase, len(rng)))
}
