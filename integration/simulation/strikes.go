// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// strike makes the faults of the plan, one after another or several at a time.
func (r *run) strike(ctx context.Context) {
	rng := r.plan.stream(3)
	var wg sync.WaitGroup
	for range r.plan.strikes {
		pause(ctx, short(rng, r.plan.length/time.Duration(r.plan.strikes)))
		if ctx.Err() != nil {
			break
		}
		all := r.nodes()
		n := all[rng.IntN(len(all))]
		kind := kinds[rng.IntN(len(kinds))]
		if r.plan.late && rng.IntN(2) == 0 {
			kind = lateWrites
		}
		if r.plan.leaders && rng.IntN(2) == 0 {
			kind = depose
		}
		mine := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		if kind.grave {
			r.plan.grave++
		}
		n.say("fault: %s", kind.name)
		wg.Go(func() { kind.do(ctx, n, mine) })
	}
	wg.Wait()
}

// kind is a class of faults; grave says that it may cost a copy.
type kind struct {
	name  string
	grave bool
	do    func(ctx context.Context, n *node, rng *rand.Rand)
}

func short(rng *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(longest)))
}

// nth is how often a step comes before it ends a process: many steps come once.
func nth(rng *rand.Rand) int {
	if rng.IntN(2) == 0 {
		return 1
	}
	return 1 + rng.IntN(6)
}

// long is a time that some timeouts are shorter than and others not.
func long(rng *rand.Rand) time.Duration {
	return short(rng, []time.Duration{time.Second, 8 * time.Second, 40 * time.Second}[rng.IntN(3)])
}

var kinds = []kind{
	{"the server crashes", false, func(_ context.Context, n *node, rng *rand.Rand) {
		n.crash(rng.IntN(2) == 0, short(rng, 5*time.Second))
	}},
	{"the server will crash at a step", false, crashAtStep},
	{"the server will crash at a step", false, crashAtStep},
	{"the server will crash at a step", false, crashAtStep},
	{"the server steps down and is active again", false, func(_ context.Context, n *node, rng *rand.Rand) {
		n.mu.Lock()
		n.downtime = short(rng, 2*time.Second)
		n.mu.Unlock()
		if p := n.now(); p != nil {
			p.end(true)
		}
	}},
	{"the plugin ends", false, func(_ context.Context, n *node, _ *rand.Rand) {
		if p := n.now(); p != nil {
			p.mu.Lock()
			g := p.plugin
			p.mu.Unlock()
			if g != nil {
				g.kill()
			}
		}
	}},
	{"the plugin will end at a call", false, endAtCall},
	{"the plugin will end at a call", false, endAtCall},
	{"connections are reset", false, func(_ context.Context, n *node, rng *rand.Rand) { n.someLink(rng).reset() }},
	{"the link is cut in one direction", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		way := rng.IntN(2)
		cut(ctx, n.someLink(rng), long(rng), way)
	}},
	{"the link is cut", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		cut(ctx, n.someLink(rng), long(rng), 0, 1)
	}},
	{"the link is slow", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		l := n.someLink(rng)
		way, by := rng.IntN(2), short(rng, 3*time.Second)
		l.set(func() { l.slow[way] = by })
		pause(ctx, long(rng))
		l.set(func() { l.slow[way] = 0 })
	}},
	{"the disk is slow", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		by := short(rng, []time.Duration{50 * time.Millisecond, 5 * time.Second}[rng.IntN(2)])
		n.disk.during(ctx, long(rng), func(d *disk) { d.slow = by + 1 }, func(d *disk) { d.slow = 0 })
	}},
	{"the disk is full", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		n.disk.during(ctx, long(rng), func(d *disk) { d.full = true }, func(d *disk) { d.full = false })
	}},
	{"the disk of a secondary refuses some values", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		if n.role == replication.Secondary {
			n.disk.during(ctx, long(rng), func(d *disk) { d.picky = true }, func(d *disk) { d.picky = false })
		}
	}},
	{"the disk fails now and then", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		p := []float64{0.02, 0.2, 0.9}[rng.IntN(3)]
		n.disk.during(ctx, long(rng), func(d *disk) { d.fails = p }, func(d *disk) { d.fails = 0 })
	}},
	{"calls of the plugin are late, and made again", false, func(ctx context.Context, n *node, rng *rand.Rand) {
		n.mu.Lock()
		n.laggy, n.repeats = short(rng, 2*time.Second)+1, 0.3
		n.mu.Unlock()
		pause(ctx, long(rng))
		n.mu.Lock()
		n.laggy, n.repeats = 0, 0
		n.mu.Unlock()
	}},
	{"the secondary is made to copy", true, func(ctx context.Context, n *node, _ *rand.Rand) {
		p := n.now()
		if p == nil || n.role != replication.Secondary {
			return
		}
		select {
		case p.applying <- struct{}{}:
			n.say("the copy is ordered: %v", p.tap.Secondary(n.sim.mode).ForceCopy(ctx))
			<-p.applying
			p.copyAgain(ctx)
		case <-ctx.Done():
		case <-p.handle.dead:
		}
	}},
}

func crashAtStep(_ context.Context, n *node, rng *rand.Rand) {
	names := stepsOf(n.role, n.disk.txn)
	t := &trap{step: names[rng.IntN(len(names))], nth: nth(rng), after: rng.IntN(2) == 0}
	mute, down := rng.IntN(3) == 0, short(rng, 5*time.Second)
	t.fire = func() {
		n.sim.reached(n, t)
		go n.crash(mute, down)
	}
	n.say("trap: %q, time %d, after it %v", t.step, t.nth, t.after)
	n.disk.mu.Lock()
	n.disk.trap = t
	n.disk.mu.Unlock()
}

func endAtCall(_ context.Context, n *node, rng *rand.Rand) {
	names := callsOf(n.role)
	t := &trap{step: names[rng.IntN(len(names))], nth: nth(rng), after: rng.IntN(2) == 0}
	n.say("plugin trap: %q, time %d, after it %v", t.step, t.nth, t.after)
	n.mu.Lock()
	n.pluginTrap = t
	n.mu.Unlock()
}

// someLink is the secondary's own, or any of the primary's.
func (n *node) someLink(rng *rand.Rand) *link {
	if n.link != nil {
		return n.link
	}
	return n.sim.secondaries[rng.IntN(len(n.sim.secondaries))].link
}

func cut(ctx context.Context, l *link, d time.Duration, ways ...int) {
	set := func(cut bool) {
		l.set(func() {
			for _, w := range ways {
				l.cut[w] = cut
			}
		})
	}
	set(true)
	pause(ctx, d)
	set(false)
}

// during changes how the disk behaves for a time.
func (d *disk) during(ctx context.Context, t time.Duration, begin, end func(*disk)) {
	d.mu.Lock()
	begin(d)
	d.mu.Unlock()
	pause(ctx, t)
	d.mu.Lock()
	end(d)
	d.mu.Unlock()
}

// heal ends all faults.
func (r *run) heal() {
	r.events.add("sim", "faults end")
	for _, n := range r.nodes() {
		n.disk.mu.Lock()
		n.disk.slow, n.disk.full, n.disk.picky, n.disk.fails, n.disk.trap = 0, false, false, 0, nil
		n.disk.late = false
		n.disk.mu.Unlock()
		n.mu.Lock()
		n.pluginTrap, n.laggy, n.repeats = nil, 0, 0
		n.mu.Unlock()
		if l := n.link; l != nil {
			l.set(func() { l.cut, l.slow = [2]bool{}, [2]time.Duration{} })
		}
	}
}
