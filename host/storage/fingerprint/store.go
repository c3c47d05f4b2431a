// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"slices"
	"strings"
	"time"
)

// Storing has blocks that are about to be stored. Writes of their keys wait until End.
type Storing struct {
	// Blocks are in order.
	Blocks []StoringBlock
	x      *Index
	held   chan struct{}
}

// StoringBlock is one of them: rows to delete, and the row to store after that.
type StoringBlock struct {
	Drop []string
	Stored

	block   *block
	changes uint64
}

// SetHome says where rows are stored from now on. It does nothing and returns false if the index was lost since the
// call of Lost that returned lost.
func (x *Index) SetHome(home string, lost uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.blocks.lost != lost || !x.known {
		return false
	}
	x.blocks.home = home
	return true
}

// Lost counts how often the index was lost.
func (x *Index) Lost() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.blocks.lost
}

// StoredBlocks is how many blocks are stored as they are in memory, and how many there are.
func (x *Index) StoredBlocks() (stored, all int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.blocks.list {
		if b.clean {
			stored++
		}
	}
	return stored, len(x.blocks.list)
}

// Store begins to store up to most blocks that were not touched since a moment and have no write under way. It returns
// nil if there are none, if the index has no home, or if it is not worth it because the index is unknown or about to be
// cut anew.
func (x *Index) Store(before time.Time, most int) *Storing {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.known || x.blocks.home == "" || x.overgrown() {
		return nil
	}
	x.blocks.split(x.ranges)
	busy := map[*block]bool{}
	for key := range x.writing {
		busy[x.blocks.of(key)] = true
	}
	s := &Storing{x: x}
	rows := map[string]bool{}
	from := 0
	for i, b := range x.blocks.list {
		to := x.blocks.rangesUpTo(x.ranges, i)
		if !b.clean && !b.storing && !busy[b] && !b.touched.After(before) {
			one := StoringBlock{block: b, changes: b.changes}
			one.After, one.Ranges = x.blocks.after(i), slices.Clone(x.ranges[from:to])
			one.Row = x.hasher.RowOf(x.blocks.home, one.After)
			rows[one.Row] = true // this row is overwritten
			one.Drop = slices.DeleteFunc(slices.Clone(b.rows), func(row string) bool { return rows[row] })
			s.Blocks = append(s.Blocks, one)
			if len(s.Blocks) == most {
				break
			}
		}
		from = to
	}
	if len(s.Blocks) == 0 {
		return nil
	}
	s.held = make(chan struct{})
	x.blocks.storing = s.held
	for i := range s.Blocks {
		s.Blocks[i].block.storing = true
	}
	return s
}

// End says that the blocks are stored, or that nobody knows whether they are.
func (s *Storing) End(stored bool) {
	x := s.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if stored {
		s.dropped()
	}
	for i := range s.Blocks {
		one := &s.Blocks[i]
		b := one.block
		for b.into != nil {
			b = b.into
		}
		switch {
		case stored && b == one.block && b.changes == one.changes:
			b.rows, b.clean, b.ranges = []string{one.Row}, true, len(one.Ranges)
		case x.blocks.home == "" || !strings.HasPrefix(one.Row, x.blocks.home):
			// The index was lost, and the row does not count.
		default:
			b.addRows(one.Row)
		}
	}
	for _, b := range x.blocks.list {
		b.storing = false
	}
	close(s.held)
}

// dropped forgets the rows that are deleted or overwritten, in all blocks: a block that was cut leaves its rows to
// several.
func (s *Storing) dropped() {
	gone := map[string]bool{}
	for i := range s.Blocks {
		gone[s.Blocks[i].Row] = true
		for _, row := range s.Blocks[i].Drop {
			gone[row] = true
		}
	}
	for _, b := range s.x.blocks.list {
		b.rows = slices.DeleteFunc(b.rows, func(row string) bool { return gone[row] })
	}
}
