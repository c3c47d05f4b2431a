// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Index is the fingerprint of a set that changes, cut into ranges of the key space: it says whether two sets are equal,
// and where they differ. A range ends at a key whose [Hasher.Level] is at least CutLevel. So two sets with the same
// keys have the same ranges, in whatever order the keys came.
//
// It is in memory, some 150 bytes for a range of 256 keys on average, and stored by blocks of ranges; see Store. It is
// unknown until a [Pass] has read the whole set, or the parts that were not stored. Safe for concurrent use.
type Index struct {
	hasher *Hasher

	mu     sync.Mutex
	known  bool
	ready  chan struct{} // closed when known
	total  Range
	ranges ranges
	passes map[*Pass]struct{}
	// writing counts the writes that are under way for each key. A listing may or may not have such a key.
	writing map[string]int
	// cuts are keys that should end a range and do not yet: the range must be read before it can be cut there.
	cuts map[string]struct{}

	blocks    blocks
	unsettled unsettled
}

// An index is overgrown when one range in overgrownPart lacks a cut.
const (
	overgrownMin  = 16
	overgrownPart = 4
)

// NewIndex returns an index that is unknown.
func NewIndex(h *Hasher) *Index {
	return &Index{
		hasher: h, ready: make(chan struct{}), passes: map[*Pass]struct{}{}, writing: map[string]int{},
		cuts:   map[string]struct{}{},
		blocks: newBlocks(),
	}
}

// Hasher is the hasher of the index.
func (x *Index) Hasher() *Hasher { return x.hasher }

// Written ends Writing.
func (x *Index) Written(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.writing[key]--; x.writing[key] <= 0 {
		delete(x.writing, key)
	}
}

// Replace says that a write changed the value of a key from before to after; nil means that the key does not exist. The
// caller has held the lock of the key since before the write, and a Pass moves past the key only under the same lock.
//
// number is the number of the write, 0 for none: see RootAt. If the write created a key that should end a range, the
// result is that of Overgrown.
func (x *Index) Replace(key string, before, after []byte, number uint64) (overgrown bool) {
	x.mu.Lock()
	idle := !x.known && len(x.passes) == 0
	x.mu.Unlock()
	if idle {
		return false // a pass that begins now will read it
	}
	c := change{key: key}
	if before != nil {
		e := x.hasher.Element(key, before)
		c.before = &e
	}
	if after != nil {
		e := x.hasher.Element(key, after)
		c.after = &e
	}
	cut := before == nil && after != nil && x.hasher.Level(key) >= CutLevel
	x.mu.Lock()
	defer x.mu.Unlock()
	for p := range x.passes {
		p.replace(c)
	}
	if number > 0 {
		x.unsettled.add(number, c)
	}
	if !x.known {
		return false
	}
	x.total.apply(c)
	if x.ranges.apply(c) >= 0 {
		x.blocks.unbound(key)
	}
	switch {
	case after == nil:
		delete(x.cuts, key)
	case cut:
		x.cuts[key] = struct{}{}
		return x.overgrown()
	}
	return false
}

// Root is the fingerprint and the number of keys; nil while unknown.
func (x *Index) Root() ([]byte, uint64) {
	x.mu.Lock()
	total, known := x.total, x.known
	x.mu.Unlock()
	if !known {
		return nil, 0
	}
	return x.hasher.Root(total.Sum, total.Count), total.Count
}

// Known says whether the index is known.
func (x *Index) Known() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.known
}

// Wait waits until the index is known.
func (x *Index) Wait(ctx context.Context) error {
	x.mu.Lock()
	ready := x.ready
	x.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ranges is how many there are, 0 while unknown.
func (x *Index) Ranges() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.ranges)
}

// Invalidate makes the index unknown and ends all passes without effect. The stored index counts until its head is
// deleted, see Heads; the next write deletes it.
func (x *Index) Invalidate() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known {
		x.ready = make(chan struct{})
	}
	x.known, x.total, x.ranges = false, Range{}, nil
	x.unsettled.forgetAll()
	clear(x.passes)
	clear(x.cuts)
	x.blocks.lost++
	x.blocks.unstore()
}

// Cut sums up the keys after a key, up to another one, in parts that end at keys of at least a level. Empty keys are
// the beginning and the end of the key space. ok is false if the index is unknown or has no ranges with these bounds.
func (x *Index) Cut(after, upTo string, level int) (parts []Range, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	from, to, ok := x.ranges.between(after, upTo)
	if !ok {
		return nil, false
	}
	var part Range
	for i := from; i < to; i++ {
		r := &x.ranges[i]
		part.add(r)
		part.UpTo, part.level = r.UpTo, r.level
		if int(r.level) >= level || i == to-1 {
			parts = append(parts, part)
			part = Range{}
		}
	}
	return parts, true
}

// Between sums up the keys after a key, up to another one, as Cut does, in one part.
func (x *Index) Between(after, upTo string) (r Range, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	from, to, ok := x.ranges.between(after, upTo)
	if !ok {
		return Range{}, false
	}
	return x.ranges[from:to].sum(), true
}

// After is how many keys follow one, and at most those of its own range more. It is not known
// while the index is not.
func (x *Index) After(key string) (keys uint64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.known {
		return 0, false
	}
	i := x.ranges.at(key)
	if key != "" && x.ranges[i].UpTo == key {
		i++
	}
	return x.ranges[i:].sum().Count, true
}

// Overgrown says that many keys should end a range and do not. A pass cuts the ranges there; until then comparisons are
// coarser.
func (x *Index) Overgrown() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.overgrown()
}

func (x *Index) overgrown() bool {
	return len(x.cuts) > max(overgrownMin, len(x.ranges)/overgrownPart)
}

// Around is the bounds of the range that has a key; ok is false while unknown.
func (x *Index) Around(key string) (after, upTo string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.known {
		return "", "", false
	}
	i := x.ranges.at(key)
	if i > 0 {
		after = x.ranges[i-1].UpTo
	}
	return after, x.ranges[i].UpTo, true
}

// install takes over what a pass has read. The caller holds x.mu.
func (x *Index) install(p *Pass) (wrong bool) {
	read := p.parts.sum()
	if x.known {
		if wrong = read.Sum != x.total.Sum || read.Count != x.total.Count; wrong {
			p.wrong = append(p.wrong, len(p.parts)-1) // the others were compared before, where that was possible
		}
	} else {
		close(x.ready)
	}
	x.known, x.total, x.ranges = true, read, p.parts
	x.blocks.fit(x.ranges)
	if wrong {
		// The difference may be anywhere: parts with other bounds than the former ranges were not compared.
		x.blocks.soil("", "")
	}
	x.dropCuts(p)
	return wrong
}

// correct replaces the ranges between a key and the end of a part by the part, if their sums differ. The caller holds
// x.mu.
func (x *Index) correct(after string, part Range) (wrong bool) {
	from, to, ok := x.ranges.between(after, part.UpTo)
	if !ok {
		return false
	}
	had := x.ranges[from:to].sum()
	if part.Sum == had.Sum && part.Count == had.Count {
		return false
	}
	x.total.Sum.Sub(had.Sum)
	x.total.Count -= had.Count
	x.total.add(&part)
	gone := slices.Clone(x.ranges[from : to-1])
	x.ranges = slices.Replace(x.ranges, from, to, part)
	for i := range gone {
		x.blocks.unbound(gone[i].UpTo)
	}
	x.blocks.soil(after, part.UpTo)
	return true
}

// dropCuts forgets the keys at which the pass has cut.
func (x *Index) dropCuts(p *Pass) {
	for i := range p.parts {
		delete(x.cuts, p.parts[i].UpTo)
	}
	maps.Copy(x.cuts, p.missed)
}
