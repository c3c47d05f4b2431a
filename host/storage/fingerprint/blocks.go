// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"slices"
	"sort"
	"time"
)

// blockRanges is how many ranges a new block has, some 4,096 keys, so that it takes milliseconds to read a block again.
// A block with more than twice as many is cut.
const blockRanges = 16

// block is a run of neighbouring ranges that is stored as one row. A stored row is always right: a write of one of its
// keys deletes the row, in the same transaction or before, and the row is stored again when the block is at rest. So
// after a crash the blocks without a row have to be read; no mark is needed.
type block struct {
	upTo string // empty for the last one; otherwise a range ends there too
	// rows are the stored rows that may count its keys. A write of one of its keys deletes them.
	rows []string
	// clean says that one row is stored, and that it has the same as the memory.
	clean   bool
	ranges  int       // of the stored row
	changes uint64    // since the index was made
	touched time.Time // by the last of them
	storing bool      // writes wait for blocks.storing
	into    *block    // the one that it has become part of
}

// blocks cover the whole key space, in order; there is always one. They know which rows are stored, and which of those
// count. The lock of the index guards them.
type blocks struct {
	list     []*block
	perBlock int           // ranges
	storing  chan struct{} // closed when the present storing has ended
	home     string        // where rows are stored, with a slash at the end
	lost     uint64        // how often the whole index was lost
	held     uint64        // the same when Hold was called
}

func newBlocks() blocks { return blocks{list: []*block{{}}, perBlock: blockRanges} }

// at is the place of the block that has a key.
func (bs *blocks) at(key string) int {
	return sort.Search(len(bs.list)-1, func(i int) bool { return key <= bs.list[i].upTo })
}

func (bs *blocks) of(key string) *block { return bs.list[bs.at(key)] }

// after is the last key before a block.
func (bs *blocks) after(i int) (after string) {
	if i > 0 {
		after = bs.list[i-1].upTo
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

// Writing says that a key is about to be written; the caller has the lock of the key. Written says that the write has
// ended and Replace was called. Before a pass goes past such a key, it waits for the key's lock. The key may be deleted
// just then and be in no listing, and the pass must not be told later of a pair that it has not counted.
//
// The write must delete the rows, in its transaction or before; see Rows.
func (x *Index) Writing(key string) (rows []string, storing <-chan struct{}) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing[key]++
	return x.blocks.wanted(key, now)
}

// Rows are the stored rows that a write of a key must delete, in its transaction or before it, between Writing and
// Written. If storing is not nil, rows are being stored: the caller waits until it is closed and asks again.
func (x *Index) Rows(key string) (rows []string, storing <-chan struct{}) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.blocks.wanted(key, now)
}

// wanted is what a write that begins must delete, or wait for.
func (bs *blocks) wanted(key string, now time.Time) ([]string, <-chan struct{}) {
	b := bs.of(key)
	b.touch(now)
	if b.storing {
		return nil, bs.storing
	}
	if len(b.rows) == 0 {
		return nil, nil
	}
	return slices.Clone(b.rows), nil
}

// Deleted says that the rows of a key, as Rows returned them, are deleted.
func (x *Index) Deleted(key string, rows []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.blocks.of(key)
	b.rows = slices.DeleteFunc(b.rows, func(row string) bool { return slices.Contains(rows, row) })
}

// Hold lets all writes wait until Release, because the stored rows are not known yet.
func (x *Index) Hold() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.blocks.storing, x.blocks.held = make(chan struct{}), x.blocks.lost
	for _, b := range x.blocks.list {
		b.storing = true
	}
}

// Release ends Hold. stored are the blocks below the directory home, in order; both are empty if nothing is stored.
func (x *Index) Release(home string, stored []*Stored) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.blocks.release(home, stored)
}

func (bs *blocks) release(home string, stored []*Stored) {
	defer close(bs.storing)
	bs.home, bs.list = home, nil
	if bs.lost != bs.held {
		bs.unstore() // the stored index was lost while it was read
		return
	}
	after := ""
	for _, s := range stored {
		if s.After != after {
			bs.list = append(bs.list, &block{upTo: s.After})
		}
		b := &block{upTo: s.UpTo(), rows: []string{s.Row}, clean: true, ranges: len(s.Ranges)}
		bs.list = append(bs.list, b)
		after = b.upTo
	}
	if len(stored) == 0 || after != "" {
		bs.list = append(bs.list, &block{})
	}
}

// Home is the directory of the stored rows, empty if there are none or if they count no longer.
func (x *Index) Home() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.blocks.home
}

// unstore makes all stored rows count no longer: the next write deletes the head, without which none counts.
func (bs *blocks) unstore() {
	all := &block{changes: 1}
	for _, b := range bs.list {
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
	if bs.home != "" {
		all.addRows(HeadOf(bs.home))
	}
	bs.home, bs.list = "", []*block{all}
}

// Headless says that a head is deleted.
func (x *Index) Headless(head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.blocks.list {
		b.rows = slices.DeleteFunc(b.rows, func(row string) bool { return row == head })
	}
}

// Heads are the heads of stored indexes that must not count any more, and are perhaps not deleted yet.
func (x *Index) Heads() (heads []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.blocks.list {
		for _, row := range b.rows {
			if IsHead(row) && !slices.Contains(heads, row) {
				heads = append(heads, row)
			}
		}
	}
	return heads
}

// unbound says that no range ends at a key any more. A block that ended there becomes part of the next one.
func (bs *blocks) unbound(key string) {
	i := bs.at(key)
	if i == len(bs.list)-1 || bs.list[i].upTo != key {
		return
	}
	b, next := bs.list[i], bs.list[i+1]
	next.addRows(b.rows...)
	next.change()
	next.storing = next.storing || b.storing
	if b.touched.After(next.touched) {
		next.touched = b.touched
	}
	b.into = next
	bs.list = slices.Delete(bs.list, i, i+1)
}

// soil says that the index has changed between two keys, so the stored rows are wrong there.
func (bs *blocks) soil(after, upTo string) {
	for _, b := range bs.list[bs.at(after):] {
		if b.upTo == "" || b.upTo > after {
			b.change()
		}
		if b.upTo == "" || (upTo != "" && b.upTo >= upTo) {
			return
		}
	}
}

// fit makes blocks end where ranges end, after the ranges were made anew.
func (bs *blocks) fit(rs ranges) {
	for i := 0; i < len(bs.list)-1; {
		bound := bs.list[i].upTo
		if rs[rs.at(bound)].UpTo != bound {
			bs.unbound(bound)
		} else {
			i++
		}
	}
	from := 0
	for i, b := range bs.list {
		to := bs.rangesUpTo(rs, i)
		if b.clean && to-from != b.ranges {
			b.change() // its ranges are finer than the stored ones
		}
		from = to
	}
}

// rangesUpTo is the place behind the last range of a block.
func (bs *blocks) rangesUpTo(rs ranges, i int) int {
	if i == len(bs.list)-1 {
		return len(rs)
	}
	return rs.at(bs.list[i].upTo) + 1
}

// split cuts blocks that have grown.
func (bs *blocks) split(rs ranges) {
	grown := false
	from := 0
	for i, b := range bs.list {
		to := bs.rangesUpTo(rs, i)
		grown = grown || (to-from > 2*bs.perBlock && !b.storing)
		from = to
	}
	if !grown {
		return
	}
	var list []*block
	from = 0
	for i, b := range bs.list {
		to := bs.rangesUpTo(rs, i)
		if to-from > 2*bs.perBlock && !b.storing {
			b.change()
			for ; to-from > 2*bs.perBlock; from += bs.perBlock {
				list = append(list, &block{
					upTo: rs[from+bs.perBlock-1].UpTo, rows: slices.Clone(b.rows), changes: b.changes, touched: b.touched,
				})
			}
		}
		list = append(list, b)
		from = to
	}
	bs.list = list
}
