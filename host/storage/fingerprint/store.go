// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"slices"
	"strings"
	"time"
)

// Storing are blocks that are about to be stored. Writes of their keys wait until End.
type Storing struct {
	// Blocks are in order.
	Blocks []StoringBlock
	x      *Index
	held   chan struct{}
}

// StoringBlock is one of them: rows to delete, and then the one to store.
type StoringBlock struct {
	Drop []string
	Stored

	block   *block
	changes uint64
}

// SetHome says where rows are stored from now on. It does nothing and returns false if
// the index was lost since Lost was asked.
func (x *Index) SetHome(home string, lost uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.blocks.lost != lost || !x.known {
		return false
	}
	x.blocks.home = home
	return true
}

// Lost is how often the index was lost.
func (x *Index) Lost() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.blocks.lost
}

// StoredBlocks is how many blocks are stored as they are in memory, of all of them.
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

// Store begins to store up to a number of blocks that were not touched since a moment
// and of whose keys none is being written. It returns nil if there are none, or if the
// index has no home or is not worth it: unknown, or about to be cut anew.
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
			rows[one.Row] = true // what it had before is written over
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

// End says that the blocks are stored, or that it is not known.
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

// dropped forgets the rows that are deleted or written over, wherever a block that was
// cut has left them.
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
