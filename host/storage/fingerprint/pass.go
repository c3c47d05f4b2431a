// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"container/heap"
	"slices"
)

// Pass reads the set of an [Index] while it changes. It
// goes through the keys in order. A write of a key that it has passed adjusts
// what it has read; a write of a later key does not, for it will be read. Keys
// that are created ahead of it are remembered, because a listing that the reader
// holds may not have them.
//
// One goroutine calls its methods, in this order: Advance and, if that says so,
// Add with the values of the keys up to there, for each group of keys; then Finish
// and NextCreated until it is done.
type Pass struct {
	x *Index

	frontier string // all keys up to and including this one are passed
	started  bool   // frontier is meaningful
	whole    bool   // there is nothing behind it
	// reading says that the values between former and frontier are being read.
	// What is told of keys in between waits in late: they are not listed, and it is
	// not known yet in which part they are.
	reading bool
	former  string
	late    []change

	created keyHeap
	inHeap  map[string]struct{}
	parts   ranges // the last one is open
	// compared are the closed parts that were compared with the index.
	compared int
	wrong    []int
	// missed are keys that should end a part and do not.
	missed map[string]struct{}
}

// Begin starts a pass. The set is listed after this call.
func (x *Index) Begin() *Pass {
	p := &Pass{x: x, inHeap: map[string]struct{}{}, parts: make(ranges, 1), missed: map[string]struct{}{}}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.passes[p] = struct{}{}
	return p
}

// End gives the pass up. After Finish it does nothing.
func (p *Pass) End() {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	delete(p.x.passes, p)
}

// Current says whether the pass has not ended.
func (p *Pass) Current() bool {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	return p.current()
}

func (p *Pass) current() bool {
	_, ok := p.x.passes[p]
	return ok
}

// Wrong are the numbers of the ranges, in key order, for which the index had
// something else than was read.
func (p *Pass) Wrong() []int {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	return slices.Clone(p.wrong)
}

// Created is how many keys that were created ahead of the pass are remembered.
func (p *Pass) Created() int {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	return len(p.created)
}

// NextCreated takes the lowest key that was created ahead of the pass; ok is
// false if there is none.
func (p *Pass) NextCreated() (key string, ok bool) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if !p.current() || len(p.created) == 0 {
		return "", false
	}
	return p.take(), true
}

// Advance moves the pass to upTo and returns the keys below it that were created
// meanwhile and have to be read as well; the caller holds the locks of the keys
// it is about to read. When some are returned the pass has not moved. ok is false
// when the pass has ended.
func (p *Pass) Advance(upTo string) (created []string, ok bool) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if !p.current() {
		return nil, false
	}
	if created = p.between(upTo); len(created) == 0 {
		p.reading, p.former = true, p.frontier
		p.frontier, p.started = upTo, true
	}
	return created, true
}

// ahead says whether the pass has yet to come to a key.
func (p *Pass) ahead(key string) bool { return !p.whole && (!p.started || key > p.frontier) }

// between takes the keys up to one that were created ahead of the pass or are being
// written: whoever holds the locks of the keys up to there has none of the latter.
func (p *Pass) between(upTo string) (created []string) {
	for key := range p.x.writing {
		if key <= upTo && p.ahead(key) {
			p.remember(key)
		}
	}
	for len(p.created) > 0 && p.created[0] <= upTo {
		created = append(created, p.take())
	}
	return created
}

// Take counts a block that is stored in place of its keys, when the pass has come to
// where it begins. When some keys are returned they are to be read first. The block is
// not taken if it was written since it was stored: then it has to be read.
func (p *Pass) Take(s *Stored) (created []string, taken, ok bool) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if !p.current() {
		return nil, false, false
	}
	if s.After != "" {
		if created = p.between(s.After); len(created) > 0 {
			return created, false, true
		}
	}
	// The one that ends there is clean if nothing of it was written, nor is being.
	blocks := &p.x.blocks
	i := len(blocks.list) - 1
	if s.UpTo() != "" {
		i = blocks.at(s.UpTo())
	}
	if b := blocks.list[i]; !b.clean || b.upTo != s.UpTo() || blocks.after(i) != s.After {
		return nil, false, true
	}
	// What the pass has read since the last cut belongs to the first range.
	open := &p.parts[len(p.parts)-1]
	sum, count := open.Sum, open.Count
	p.parts = append(p.parts[:len(p.parts)-1], s.Ranges...)
	first := &p.parts[len(p.parts)-len(s.Ranges)]
	first.Sum.Add(sum)
	first.Count += count
	if s.UpTo() == "" {
		p.whole = true
	} else {
		p.parts = append(p.parts, Range{})
	}
	p.frontier, p.started = s.UpTo(), true
	return nil, true, true
}

// Add counts what was read up to the frontier: keys in order, with nil for one
// that is not there any more.
func (p *Pass) Add(keys []string, values [][]byte) {
	elements := make([]Sum, len(keys))
	levels := make([]int, len(keys))
	for i, v := range values {
		if v != nil {
			elements[i], levels[i] = p.x.hasher.Element(keys[i], v), p.x.hasher.Level(keys[i])
		}
	}
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	for i, v := range values {
		if v == nil {
			continue
		}
		open := &p.parts[len(p.parts)-1]
		open.Sum.Add(elements[i])
		open.Count++
		if levels[i] >= CutLevel {
			open.UpTo, open.level = keys[i], uint8(levels[i])
			p.parts = append(p.parts, Range{})
		}
	}
	p.reading = false
	late := p.late
	p.late = nil
	for _, c := range late {
		p.adjust(c)
	}
	p.compare()
}

// compare looks whether the index has the same for the parts that were closed since
// it was last done; if not, it gets what was read.
func (p *Pass) compare() {
	if !p.x.known {
		return
	}
	for ; p.compared < len(p.parts)-1; p.compared++ {
		after := ""
		if p.compared > 0 {
			after = p.parts[p.compared-1].UpTo
		}
		if p.x.correct(after, p.parts[p.compared]) {
			p.wrong = append(p.wrong, p.compared)
		}
	}
}

// Finish ends the pass. It returns false, and the pass is not over, when keys
// were created ahead of it; they are got with NextCreated. ok is false when the
// pass has ended before. Wrong says that the index had something else for what
// was read: then it has what was read now.
func (p *Pass) Finish() (done, wrong, ok bool) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if !p.current() {
		return false, false, false
	}
	for key := range p.x.writing {
		if p.ahead(key) {
			p.remember(key)
		}
	}
	if len(p.created) > 0 {
		return false, false, true
	}
	delete(p.x.passes, p)
	wrong = p.x.install(p) || len(p.wrong) > 0
	return true, wrong, true
}

// replace is told of a write. The caller holds the index's lock.
func (p *Pass) replace(c change) {
	switch {
	case p.ahead(c.key):
		if c.before == nil && c.after != nil {
			p.remember(c.key)
		}
	case p.reading && c.key > p.former:
		p.late = append(p.late, c)
	default:
		p.adjust(c)
	}
}

func (p *Pass) adjust(c change) {
	if i := p.parts.apply(c); i >= 0 && i < p.compared {
		p.compared--
	}
	switch {
	case c.after == nil:
		delete(p.missed, c.key)
	case c.before == nil && p.x.hasher.Level(c.key) >= CutLevel:
		p.missed[c.key] = struct{}{}
	}
}

func (p *Pass) remember(key string) {
	if _, ok := p.inHeap[key]; ok {
		return
	}
	p.inHeap[key] = struct{}{}
	heap.Push(&p.created, key)
}

func (p *Pass) take() string {
	key := heap.Pop(&p.created).(string)
	delete(p.inHeap, key)
	return key
}

type keyHeap []string

func (h keyHeap) Len() int           { return len(h) }
func (h keyHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h keyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *keyHeap) Push(x any)        { *h = append(*h, x.(string)) }
func (h *keyHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
