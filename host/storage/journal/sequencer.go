// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"sort"
	"sync"
	"sync/atomic"
)

// Sequencer gives out numbers, keeps the watermark (all numbers up to it are finished) and has the ring: the most
// recent finished rows in memory, bounded in bytes. It returns no row above the watermark.
type Sequencer struct {
	term      uint64
	ringBytes int
	ringRows  int // 0: no bound

	mu       sync.Mutex
	next     uint64
	limit    uint64 // numbers up to this one are reserved durably
	mark     uint64
	pending  []slot // of the numbers after mark
	ring     []*Row // finished rows, in order
	first    int    // index in ring of the oldest row that is kept
	floor    uint64 // every finished row above it is in the ring, or void
	bytes    int
	moved    chan struct{} // closed when the watermark moves; nil while nobody waits
	reserved chan struct{} // closed when limit moves; nil while nobody waits
	closed   bool

	retain    atomic.Bool
	allocated atomic.Uint64
}

type slot struct {
	done bool
	row  *Row // nil: void
}

// NewSequencer begins a term after the number last; numbers up to limit are reserved. ringBytes bounds the rows in
// memory, and so does ringRows if it is not 0.
func NewSequencer(term, last, limit uint64, ringBytes, ringRows int) *Sequencer {
	s := &Sequencer{term: term, ringBytes: ringBytes, ringRows: ringRows, next: last + 1, limit: limit, mark: last,
		floor: last}
	s.allocated.Store(last)
	return s
}

// Term is the term of all numbers that are given out.
func (s *Sequencer) Term() uint64 { return s.term }

// Allocate gives out the next number. retain says whether the row must be stored. If no reserved number is left, ok is
// false, and wait is closed when there are new ones or the sequencer is closed. low says that it is time to reserve
// more; it is true for one call in each block.
func (s *Sequencer) Allocate(block uint64) (n uint64, retain, low, ok bool, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next > s.limit {
		if s.reserved == nil {
			s.reserved = make(chan struct{})
			if s.closed {
				close(s.reserved)
			}
		}
		return 0, false, true, false, s.reserved
	}
	n = s.next
	s.next++
	s.allocated.Store(n)
	s.pending = append(s.pending, slot{})
	return n, s.retain.Load(), s.limit-n == block/2, true, nil
}

// Reserve raises the limit of numbers.
func (s *Sequencer) Reserve(limit uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > s.limit {
		s.limit = limit
	}
	if s.reserved != nil {
		close(s.reserved)
		s.reserved = nil
	}
}

// Limit is the highest number that is reserved.
func (s *Sequencer) Limit() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}

// SetRetain says whether rows must be stored from now on. It returns the highest number that was given out before.
func (s *Sequencer) SetRetain(retain bool) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retain.Store(retain)
	return s.next - 1
}

// Finish says that a number is finished: with its row, or void (nil).
func (s *Sequencer) Finish(n uint64, row *Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.mark || n >= s.next {
		return
	}
	s.pending[n-s.mark-1] = slot{done: true, row: row}
	i := 0
	for i < len(s.pending) && s.pending[i].done {
		if row := s.pending[i].row; row != nil {
			s.push(row)
		}
		s.pending[i] = slot{}
		i++
	}
	if i == 0 {
		return
	}
	s.mark += uint64(i)
	s.pending = s.pending[i:]
	if len(s.pending) == 0 {
		s.pending = nil
	}
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

func (s *Sequencer) push(row *Row) {
	s.ring = append(s.ring, row)
	s.bytes += row.Bytes
	for s.first < len(s.ring) && (s.bytes > s.ringBytes || s.ringRows > 0 && len(s.ring)-s.first > s.ringRows) {
		old := s.ring[s.first]
		s.ring[s.first] = nil
		s.first++
		s.bytes -= old.Bytes
		s.floor = old.Sequence
	}
	// Moving the rest down once half is empty costs constant time a row.
	if s.first > 1024 && s.first > len(s.ring)/2 {
		s.ring = append(make([]*Row, 0, len(s.ring)-s.first+256), s.ring[s.first:]...)
		s.first = 0
	}
}

// Watermark is the number up to which all are finished.
func (s *Sequencer) Watermark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// Allocated is the highest number that was given out.
func (s *Sequencer) Allocated() uint64 { return s.allocated.Load() }

// Moved returns a channel that is closed when the watermark is above after, or
// the sequencer was closed; nil if it is above already.
func (s *Sequencer) Moved(after uint64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mark > after {
		return nil
	}
	if s.moved == nil {
		s.moved = make(chan struct{})
		if s.closed {
			close(s.moved)
		}
	}
	return s.moved
}

// Close ends all waits; no more numbers and rows come.
func (s *Sequencer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
	if s.reserved != nil {
		close(s.reserved)
		s.reserved = nil
	}
}

// Rows returns finished rows after a number from memory, up to about the given size, and the number up to which they
// are complete. ok is false if rows after the given number have left the memory.
func (s *Sequencer) Rows(after uint64, bytes int) (rows []*Row, to uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after < s.floor {
		return nil, 0, false
	}
	live := s.ring[s.first:]
	i := sort.Search(len(live), func(i int) bool { return live[i].Sequence > after })
	start, size := i, 0
	for i < len(live) && (size == 0 || size+live[i].Bytes <= bytes) {
		size += live[i].Bytes
		i++
	}
	to = s.mark
	if i < len(live) {
		to = live[i].Sequence - 1
	}
	return append([]*Row(nil), live[start:i]...), to, true
}

// Ring is how full the memory for rows is.
type Ring struct {
	Rows, Bytes int
	// MaxRows is 0 for no bound.
	MaxRows, MaxBytes int
}

// Ring is the present state of the ring.
func (s *Sequencer) Ring() Ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Ring{Rows: len(s.ring) - s.first, Bytes: s.bytes, MaxRows: s.ringRows, MaxBytes: s.ringBytes}
}

// Floor is the number above which all finished rows are in memory.
func (s *Sequencer) Floor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor
}
