// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"container/heap"
	"slices"
)

// Pass reads the set of an [Index], in key order, while the set changes. A write of a key that it has passed adjusts
// what it has read. A write of a later key does not, because the pass will read it. Keys that are created ahead of the
// pass are remembered, because the reader's listing may lack them.
//
// One goroutine calls its methods, in this order: Advance and, if that says so,
// Add with the values of the keys up to there, for each group of keys; then Finish
// and NextCreated until it is done.
type Pass struct {
	x *Index

	frontier string // all keys up to and including this one are passed
	started  bool   // frontier is meaningful
	whole    bool   // no key is left
	// reading says that the values between former and frontier are being read. Changes of keys in between wait in late,
	// because their part is not known yet.
	reading bool
	former  string
	late    []change

	created keyHeap
	inHeap  map[string]struct{}
	parts   ranges // the last one is open
	// compared are the closed parts that were compared with the index.
	compared int
	wrong    []int
	// missed are keys that should end a part but do not.
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

// Wrong are the numbers of the ranges, in key order, in which the index differed from what was read.
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

// Advance moves the pass to upTo; the caller has the locks of the keys that it is about to read. If keys up to there
// were created meanwhile, Advance returns them and does not move: they must be read too. ok is false when the pass has
// ended.
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

// between takes the keys up to upTo that were created ahead of the pass, or that are being written. If the caller has
// the locks of all keys up to there, none is being written.
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

// Take counts a stored block instead of its keys, when the pass has come to its beginning. If it returns keys, they
// must be read first. It does not take a block that was written since it was stored: the keys of such a block must be
// read.
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
	// The block that ends there is clean if no write of its keys has ended or is under way.
	blocks := &p.x.blocks
	i := len(blocks.list) - 1
	if s.UpTo() != "" {
		i = blocks.at(s.UpTo())
	}
	if b := blocks.list[i]; !b.clean || b.upTo != s.UpTo() || blocks.after(i) != s.After {
		return nil, false, true
	}
	// The keys since the last cut belong to the first range.
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

// Add counts the keys that were read up to the frontier, in order. The value of a key that is gone is nil.
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

// compare compares the newly closed parts with the index, and corrects the index where they differ.
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

// Finish ends the pass. If keys were created ahead of the pass, done is false and the pass goes on: get them with
// NextCreated. ok is false if the pass ended before. wrong says that the index differed from what was read; it has been
// corrected.
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
