// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// A storage may answer a write with an error, or be left by its caller, and carry the write
// out later. What every storage promises is that it does so before a later write of one of
// the same keys, or never. One with transactions, as raft, has them all in one order: before
// any later write.

// lateLongest is how long such a write may take.
const lateLongest = 20 * time.Second

// owe notes a write that was answered with an error and may take effect; the caller holds mu.
func (d *disk) owe(p *pending) {
	p.late = true
	d.owing = append(d.owing, p)
	d.events.add(d.who, "an error at %q, and it may take effect later", p.step)
	time.AfterFunc(short(d.rng, lateLongest), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.decide(p)
	})
}

// decide says what becomes of a write that is owing.
func (d *disk) decide(p *pending) {
	i := slices.Index(d.owing, p)
	if i < 0 {
		return
	}
	for _, o := range slices.Clone(d.owing[:i]) {
		d.decideIfBefore(o, p)
	}
	d.owing = slices.DeleteFunc(d.owing, func(o *pending) bool { return o == p })
	if d.rng.IntN(4) == 0 {
		d.events.add(d.who, "what failed at %q never takes effect", p.step)
		return
	}
	d.events.add(d.who, "what failed at %q takes effect", p.step)
	d.land(p)
}

// decideBefore decides on all that must not come after a write.
func (d *disk) decideBefore(p *pending) {
	if p.late {
		return
	}
	for _, o := range slices.Clone(d.owing) {
		d.decideIfBefore(o, p)
	}
}

func (d *disk) decideIfBefore(o, p *pending) {
	if !d.disorderly && (d.txn || o.shares(p)) {
		d.decide(o)
	}
}

func (d *disk) decideAll() {
	for _, o := range slices.Clone(d.owing) {
		d.decide(o)
	}
}

func (p *pending) shares(o *pending) bool {
	return slices.ContainsFunc(p.changes, func(c change) bool {
		return slices.ContainsFunc(o.changes, func(other change) bool { return other.key == c.key })
	})
}

// lateWrites are the fault of a run in which failed writes take effect later.
var lateWrites = kind{"failed writes take effect later", false, func(ctx context.Context, n *node, rng *rand.Rand) {
	p := []float64{0.05, 0.3}[rng.IntN(2)]
	n.disk.during(ctx, long(rng), func(d *disk) { d.fails, d.late = p, true },
		func(d *disk) { d.fails, d.late = 0, false })
}}

// landedLate notes a write that took effect after it had failed. What it has done is not in the
// index of the node until that is compared with the storage, which is done once an hour.
func (r *run) landedLate(n *node) {
	r.mu.Lock()
	r.late++
	r.mu.Unlock()
	n.unsure.Store(true)
	r.sums(lateLandings)
}

// lookAgain compares the index of each node with its storage, as it is done once an hour, where
// something may have been written past it.
func (r *run) lookAgain(ctx context.Context) {
	for _, n := range r.nodes() {
		p := n.now()
		if p == nil || !n.unsure.Load() {
			continue
		}
		n.unsure.Store(false) // a write may come meanwhile
		report, err := p.tap.Indexes().Check(ctx, r.mode)
		if err != nil {
			n.unsure.Store(true)
			n.say("the index is not compared: %v", err)
			continue
		}
		n.say("the index is compared, wrong %t", report.Wrong)
	}
}
