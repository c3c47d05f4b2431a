// SPDX-License-Identifier: MPL-2.0

package fingerprint

import "maps"

// unsettled has the changes of the writes above the watermark. The lock of the index guards it.
type unsettled struct {
	// changes are the changes of each number that may be above the watermark. Deletions decrease a count: it is modulo
	// 2^64.
	changes map[uint64]*Range
	// exact is the watermark from which RootAt knows the fingerprint, nil if that is not decided yet.
	exact *uint64
	// settled is the highest watermark whose changes were forgotten.
	settled uint64
}

// add keeps a change until its number is below the watermark.
func (u *unsettled) add(number uint64, c change) {
	if u.changes == nil {
		u.changes = map[uint64]*Range{}
	}
	p := u.changes[number]
	if p == nil {
		p = &Range{}
		u.changes[number] = p
	}
	p.apply(c)
}

func (u *unsettled) forget(watermark uint64) {
	u.settled = max(u.settled, watermark)
	maps.DeleteFunc(u.changes, func(n uint64, _ *Range) bool { return n <= watermark })
}

func (u *unsettled) forgetAll() { u.changes, u.exact = nil, nil }

// RootAt is the fingerprint, with the number of keys, of the content at a watermark, without the writes above it. It is
// nil while the index is unknown. It is also nil until the watermark has reached all numbers that were allocated at the
// first call: a scan may or may not have read the writes that were under way then. Replace must have been called for
// all writes up to the watermark.
func (x *Index) RootAt(watermark, allocated uint64) ([]byte, uint64) {
	x.mu.Lock()
	if !x.known {
		x.mu.Unlock()
		return nil, 0
	}
	u := &x.unsettled
	if u.exact == nil {
		u.exact = &allocated
	}
	u.forget(watermark)
	total, known := x.total, watermark >= max(*u.exact, u.settled)
	for _, p := range u.changes {
		total.Sum.Sub(p.Sum)
		total.Count -= p.Count
	}
	x.mu.Unlock()
	if !known {
		return nil, total.Count
	}
	return x.hasher.Root(total.Sum, total.Count), total.Count
}

// Settled forgets what RootAt needs for watermarks below this one, as RootAt itself does. Without calls of RootAt it
// must be called now and then.
func (x *Index) Settled(watermark uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unsettled.forget(watermark)
}
