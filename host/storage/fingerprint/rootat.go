// SPDX-License-Identifier: MPL-2.0

package fingerprint

// pending is what the write of one number has changed.
type pending struct {
	sum   Sum
	count uint64 // modulo 2^64, as deletions make it less
}

// remember keeps a change until its number is below the watermark. The caller holds
// x.mu.
func (x *Index) remember(number uint64, c change) {
	if x.pending == nil {
		x.pending = map[uint64]*pending{}
	}
	p := x.pending[number]
	if p == nil {
		p = &pending{}
		x.pending[number] = p
	}
	if c.before != nil {
		p.sum.Sub(*c.before)
		p.count--
	}
	if c.after != nil {
		p.sum.Add(*c.after)
		p.count++
	}
}

// RootAt is the fingerprint, with the number of keys, of what the writes up to a
// watermark have made, without those above it. It is nil while the index is unknown,
// and until the watermark has reached all numbers that were allocated when it was
// first asked for: of writes that were under way when the set was read it is not
// known on which side they are. All writes up to the watermark must have been told.
func (x *Index) RootAt(watermark, allocated uint64) ([]byte, uint64) {
	x.mu.Lock()
	if !x.known {
		x.mu.Unlock()
		return nil, 0
	}
	if x.exact == nil {
		x.exact = &allocated
	}
	x.forget(watermark)
	total, known := x.total, watermark >= max(*x.exact, x.settled)
	for _, p := range x.pending {
		total.Sum.Sub(p.sum)
		total.Count -= p.count
	}
	x.mu.Unlock()
	if !known {
		return nil, total.Count
	}
	return x.hasher.Root(total.Sum, total.Count), total.Count
}

// Settled forgets what RootAt needs for watermarks below this one. RootAt does so
// too; who does not call it calls this now and then.
func (x *Index) Settled(watermark uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(watermark)
}

func (x *Index) forget(watermark uint64) {
	x.settled = max(x.settled, watermark)
	for n := range x.pending {
		if n <= watermark {
			delete(x.pending, n)
		}
	}
}
