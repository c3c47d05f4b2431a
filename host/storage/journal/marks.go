// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"slices"
	"time"
)

// MarksMax bounds the marks of a journal. With so many, about a sixtieth of what is retained, in bytes or in time, is
// between two of them.
const MarksMax = 128

// Mark says how far a journal was at a moment. So the bytes and the age that a slot retains are known without reading
// rows, also after a restart.
type Mark struct {
	// Sequence is the highest number that was given out then.
	Sequence uint64 `json:"s"`
	// Bytes is the size of all rows that were stored until then, deleted ones included.
	Bytes uint64 `json:"b"`
	// Time is in nanoseconds of Unix time.
	Time int64 `json:"t"`
}

// Marks are in the order of their sequences.
type Marks []Mark

// Last is the newest mark, zero if there is none.
func (m Marks) Last() Mark {
	if len(m) == 0 {
		return Mark{}
	}
	return m[len(m)-1]
}

// Add appends a mark, unless it says nothing new or would break the order. If there are too many, it drops the mark
// whose absence costs least precision.
func (m Marks) Add(n Mark) Marks {
	if last := m.Last(); len(m) > 0 && (n.Sequence <= last.Sequence || n.Bytes < last.Bytes) {
		return m
	}
	m = append(m, n)
	if len(m) <= MarksMax {
		return m
	}
	bytes := float64(m.Last().Bytes-m[0].Bytes) + 1
	span := max(0, float64(m.Last().Time-m[0].Time)) + 1
	drop, least := 1, 0.0
	for i := 1; i < len(m)-1; i++ {
		gap := max(float64(m[i+1].Bytes-m[i-1].Bytes)/bytes, float64(m[i+1].Time-m[i-1].Time)/span)
		if i == 1 || gap < least {
			drop, least = i, gap
		}
	}
	return slices.Delete(m, drop, drop+1)
}

// Prune drops the marks that concern only rows up to a number, because those rows are gone.
func (m Marks) Prune(upTo uint64) Marks {
	for len(m) > 1 && m[1].Sequence <= upTo {
		m = m[1:]
	}
	return m
}

// BytesAt is about the size of all rows up to a number; now is the mark of the present moment.
func (m Marks) BytesAt(sequence uint64, now Mark) uint64 {
	low := Mark{}
	if len(m) > 0 {
		low = m[0]
	}
	high := now
	for _, k := range m {
		if k.Sequence > sequence {
			high = k
			break
		}
		low = k
	}
	if sequence <= low.Sequence || high.Sequence <= low.Sequence || high.Bytes <= low.Bytes {
		return low.Bytes
	}
	part := float64(min(sequence, high.Sequence)-low.Sequence) / float64(high.Sequence-low.Sequence)
	return low.Bytes + uint64(part*float64(high.Bytes-low.Bytes))
}

// AgeAfter is the least age that the first row after a number has: the age of the first mark that includes it. So a row
// that came after a pause never counts as older than it is.
func (m Marks) AgeAfter(sequence uint64, now time.Time) time.Duration {
	for _, k := range m {
		if k.Sequence > sequence {
			return max(0, now.Sub(time.Unix(0, k.Time)))
		}
	}
	return 0
}
