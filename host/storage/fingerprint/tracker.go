// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"container/heap"
	"sync"
)

// Index is what the storage tap needs of a fingerprint of one mode. Tracker is
// the one that keeps a single sum; an index by ranges can take its place.
type Index interface {
	// Replace says that a key had the value before and has the value after; nil
	// means that it did not or does not exist. The caller serialises calls for
	// one key, and calls of Begin for it, by its own lock of that key.
	Replace(key string, before, after []byte)
	// Root is the fingerprint and the number of keys; nil while unknown.
	Root() ([]byte, uint64)
	// Invalidate makes the fingerprint unknown until the next scan.
	Invalidate()
}

// Tracker keeps the fingerprint of a set that changes while it is first scanned.
// The scan goes through the keys in order. A write of a key that the scan has
// passed adjusts the sum; a write of a later key does not, for the scan will
// read it. Keys that are created ahead of the scan are remembered, because a
// listing that the scan holds may not have them.
type Tracker struct {
	hasher *Hasher

	mu       sync.Mutex
	sum      Sum
	count    uint64
	scanning bool
	complete bool
	frontier string // the scan has passed all keys up to and including this one
	started  bool   // frontier is meaningful
	created  keyHeap
	inHeap   map[string]struct{}
	scan     uint64 // number of the scan, so that an old one cannot go on
}

var _ Index = (*Tracker)(nil)

// NewTracker returns a tracker whose fingerprint is unknown.
func NewTracker(h *Hasher) *Tracker { return &Tracker{hasher: h} }

// Hasher is the hasher of the tracker.
func (t *Tracker) Hasher() *Hasher { return t.hasher }

// Replace implements Index.
func (t *Tracker) Replace(key string, before, after []byte) {
	t.mu.Lock()
	counts := t.counts(key)
	if t.scanning && !counts && before == nil && after != nil {
		t.remember(key)
	}
	scan := t.scan
	t.mu.Unlock()
	if !counts {
		return
	}
	var add, sub Sum
	if before != nil {
		sub = t.hasher.Element(key, before)
	}
	if after != nil {
		add = t.hasher.Element(key, after)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scan != scan {
		return // invalidated meanwhile
	}
	if before != nil {
		t.sum.Sub(sub)
		t.count--
	}
	if after != nil {
		t.sum.Add(add)
		t.count++
	}
}

// Root implements Index.
func (t *Tracker) Root() ([]byte, uint64) {
	t.mu.Lock()
	sum, count, complete := t.sum, t.count, t.complete
	t.mu.Unlock()
	if !complete {
		return nil, 0
	}
	return t.hasher.Root(sum, count), count
}

// Invalidate implements Index.
func (t *Tracker) Invalidate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reset()
}

// BeginScan starts a scan and returns its number for the other calls. A former
// scan ends without effect.
func (t *Tracker) BeginScan() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reset()
	t.scanning = true
	return t.scan
}

// NextCreated takes the lowest key that was created ahead of the scan and is
// not above limit; ok is false if there is none. An empty limit is no limit.
func (t *Tracker) NextCreated(scan uint64, limit string) (key string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scan != scan || len(t.created) == 0 || (limit != "" && t.created[0] > limit) {
		return "", false
	}
	return t.take(), true
}

// Advance moves the scan to upTo and returns the keys below it that were created
// meanwhile and have to be read as well; the caller holds the locks of the keys
// it is about to read. When some are returned the scan has not moved.
func (t *Tracker) Advance(scan uint64, upTo string) (created []string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scan != scan {
		return nil, false
	}
	for len(t.created) > 0 && t.created[0] <= upTo {
		created = append(created, t.take())
	}
	if len(created) == 0 {
		t.frontier, t.started = upTo, true
	}
	return created, true
}

// Add counts a pair that the scan has read at or below the frontier.
func (t *Tracker) Add(scan uint64, key string, value []byte) {
	e := t.hasher.Element(key, value)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scan != scan {
		return
	}
	t.sum.Add(e)
	t.count++
}

// Finish ends the scan. It returns false, and the scan is not over, when keys
// were created ahead of it; they are got with NextCreated.
func (t *Tracker) Finish(scan uint64) (done, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scan != scan {
		return false, false
	}
	if len(t.created) > 0 {
		return false, true
	}
	t.scanning, t.complete, t.inHeap = false, true, nil
	return true, true
}

// Current says whether a scan was not replaced or invalidated.
func (t *Tracker) Current(scan uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scan == scan
}

func (t *Tracker) counts(key string) bool {
	return t.complete || (t.scanning && t.started && key <= t.frontier)
}

func (t *Tracker) reset() {
	t.scan++
	t.sum, t.count = Sum{}, 0
	t.scanning, t.complete, t.started = false, false, false
	t.frontier, t.created, t.inHeap = "", nil, map[string]struct{}{}
}

func (t *Tracker) remember(key string) {
	if _, ok := t.inHeap[key]; ok {
		return
	}
	t.inHeap[key] = struct{}{}
	heap.Push(&t.created, key)
}

func (t *Tracker) take() string {
	key := heap.Pop(&t.created).(string)
	delete(t.inHeap, key)
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
