// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"slices"
	"sort"
	"time"
)

// blockRanges is how many ranges a block has when it is made, some 4,096 keys, so that
// reading one again takes milliseconds. With more than twice as many it is cut.
const blockRanges = 16

// block is a run of neighbouring ranges that is stored as one row. A row that is
// stored is always right: a write of one of its keys deletes the row, in the same
// transaction or before, and the row is stored again when the block is at rest. So
// what lacks a row after a crash is what has to be read, and nothing marks it.
type block struct {
	upTo string // empty for the last one; otherwise a range ends there too
	// rows are those that may be stored of its keys: who writes one deletes them.
	rows []string
	// clean says that one row is stored, and what is in memory is what it has.
	clean   bool
	ranges  int       // of the stored row
	changes uint64    // since the index was made
	touched time.Time // by the last of them
	storing bool      // writes wait for x.storing
	into    *block    // the one that it has become part of
}

// blockAt is the place of the block that has a key.
func (x *Index) blockAt(key string) int {
	return sort.Search(len(x.blocks)-1, func(i int) bool { return key <= x.blocks[i].upTo })
}

func (x *Index) blockAfter(i int) (after string) {
	if i > 0 {
		after = x.blocks[i-1].upTo
	}
	return after
}

func (b *block) change() {
	b.clean = false
	b.changes++
}

// touch is a write that begins.
func (b *block) touch(now time.Time) {
	b.change()
	b.touched = now
}

func (b *block) hasRow(row string) bool { return slices.Contains(b.rows, row) }

func (b *block) addRows(rows ...string) {
	for _, row := range rows {
		if !b.hasRow(row) {
			b.rows = append(b.rows, row)
		}
	}
}

// Writing says that a key is about to be written, under the caller's lock of it;
// Written, that this is over and was told. A pass waits for the lock of such a key
// before it goes past it: it may have been deleted, so that nobody has listed it, and
// the pass must not be told afterwards of a pair that it has not counted.
//
// The rows are those that the write has to delete, with it or before; see Rows.
func (x *Index) Writing(key string) (rows []string, storing <-chan struct{}) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing[key]++
	b := x.blocks[x.blockAt(key)]
	b.touch(now)
	return b.wanted(x)
}

// Rows are the stored rows that a write of a key has to delete, in its transaction or
// before it, while the key is Writing. If storing is not nil they are being stored: the
// caller waits until it is closed and asks again.
func (x *Index) Rows(key string) (rows []string, storing <-chan struct{}) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.blocks[x.blockAt(key)]
	b.touch(now)
	return b.wanted(x)
}

func (b *block) wanted(x *Index) ([]string, <-chan struct{}) {
	if b.storing {
		return nil, x.storing
	}
	if len(b.rows) == 0 {
		return nil, nil
	}
	return slices.Clone(b.rows), nil
}

// Deleted says that rows that Rows has named for a key are deleted.
func (x *Index) Deleted(key string, rows []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.blocks[x.blockAt(key)]
	b.rows = slices.DeleteFunc(b.rows, func(row string) bool { return slices.Contains(rows, row) })
}

// Hold lets all writes wait until Release: what is stored is not known yet.
func (x *Index) Hold() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.storing, x.held = make(chan struct{}), x.lost
	for _, b := range x.blocks {
		b.storing = true
	}
}

// Release ends Hold, with the blocks that are stored below a directory, in order; empty
// if nothing is.
func (x *Index) Release(home string, stored []*Stored) {
	x.mu.Lock()
	defer x.mu.Unlock()
	defer close(x.storing)
	x.home, x.blocks = home, nil
	if x.lost != x.held {
		x.unstore() // what is stored was lost while it was read
		return
	}
	after := ""
	for _, s := range stored {
		if s.After != after {
			x.blocks = append(x.blocks, &block{upTo: s.After})
		}
		b := &block{upTo: s.UpTo(), rows: []string{s.Row}, clean: true, ranges: len(s.Ranges)}
		x.blocks = append(x.blocks, b)
		after = b.upTo
	}
	if len(stored) == 0 || after != "" {
		x.blocks = append(x.blocks, &block{})
	}
}

// Home is the directory of the rows that are stored, empty if none are or those that
// are do not count any more.
func (x *Index) Home() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.home
}

// unstore makes the rows that are stored count no more: one row is deleted that all
// need. The caller holds x.mu.
func (x *Index) unstore() {
	all := &block{changes: 1}
	for _, b := range x.blocks {
		b.into = all
		if b.storing {
			all.storing = true
		}
		for _, row := range b.rows {
			if IsHead(row) {
				all.addRows(row)
			}
		}
	}
	if x.home != "" {
		all.addRows(HeadOf(x.home))
	}
	x.home, x.blocks = "", []*block{all}
}

// Headless says that a head is deleted.
func (x *Index) Headless(head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.blocks {
		b.rows = slices.DeleteFunc(b.rows, func(row string) bool { return row == head })
	}
}

// Heads are the heads of what is not to count any more and may still be stored.
func (x *Index) Heads() (heads []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.blocks {
		for _, row := range b.rows {
			if IsHead(row) && !slices.Contains(heads, row) {
				heads = append(heads, row)
			}
		}
	}
	return heads
}

// unbound says that no range ends at a key any more: the block that did becomes part
// of the next one. The caller holds x.mu.
func (x *Index) unbound(key string) {
	i := x.blockAt(key)
	if i == len(x.blocks)-1 || x.blocks[i].upTo != key {
		return
	}
	b, next := x.blocks[i], x.blocks[i+1]
	next.addRows(b.rows...)
	next.change()
	next.storing = next.storing || b.storing
	if b.touched.After(next.touched) {
		next.touched = b.touched
	}
	b.into = next
	x.blocks = slices.Delete(x.blocks, i, i+1)
}

// soil says that the index has changed between two keys, and that what is stored is
// wrong there. The caller holds x.mu.
func (x *Index) soil(after, upTo string) {
	for i := x.blockAt(after); i < len(x.blocks); i++ {
		if bound := x.blocks[i].upTo; bound == "" || bound > after {
			x.blocks[i].change()
		}
		if bound := x.blocks[i].upTo; bound == "" || (upTo != "" && bound >= upTo) {
			return
		}
	}
}

// fitBlocks makes blocks end where ranges do, after the ranges were made anew. The
// caller holds x.mu.
func (x *Index) fitBlocks() {
	for i := 0; i < len(x.blocks)-1; {
		bound := x.blocks[i].upTo
		if at := x.ranges.at(bound); x.ranges[at].UpTo != bound {
			x.unbound(bound)
		} else {
			i++
		}
	}
	from := 0
	for i, b := range x.blocks {
		to := x.rangesUpTo(i)
		if b.clean && to-from != b.ranges {
			b.change() // finer than what is stored
		}
		from = to
	}
}

// rangesUpTo is the place behind the last range of a block.
func (x *Index) rangesUpTo(i int) int {
	if i == len(x.blocks)-1 {
		return len(x.ranges)
	}
	return x.ranges.at(x.blocks[i].upTo) + 1
}
