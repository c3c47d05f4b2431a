// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// core is the memory of a secondary's running core. It has what the core read from storage
// when it started, and of each key what it read when it was told of the key.
type core struct {
	storage.Nobody

	p *process

	mu  sync.Mutex
	rng *rand.Rand
	has map[string][]byte
	// unsettled are the views whose classes have changed.
	unsettled []string
	// uncleared are views that no mount has, until what is left there is deleted.
	uncleared []string
	// taking is the turn of who takes something up, until the node ends its duty.
	taking chan struct{}

	// gone says whether the caller of the apply under way is gone, for a core that is
	// broken on purpose.
	gone atomic.Pointer[func() bool]
}

func newCore(p *process, stream uint64) *core {
	r := p.node.sim
	c := &core{p: p, rng: r.plan.stream(70 + stream), has: p.stored(), taking: make(chan struct{}, 1)}
	p.tap.Observe(c)
	return c
}

// takeStored has the core read again what is stored.
func (c *core) takeStored() {
	has := c.p.stored()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.has = has
}

// stored is the content of the node's disk, as its core reads it when it starts.
func (p *process) stored() map[string][]byte {
	d := p.node.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range d.rows {
		if p.replicates(k) {
			out[k] = v
		}
	}
	return out
}

// Applied takes up keys. At times that takes a while, or the core has no time for some
// keys, or a read fails.
func (c *core) Applied(ctx context.Context, keys []string) (left []string) {
	end, ok := c.turn()
	if !ok {
		return keys
	}
	defer end()
	c.mu.Lock()
	busy, takes := c.rng.IntN(16) == 0, time.Duration(0)
	if c.rng.IntN(4) == 0 {
		takes = time.Duration(c.rng.Int64N(int64(50 * time.Millisecond)))
	}
	c.mu.Unlock()
	pause(ctx, takes)
	if gone := c.gone.Load(); gone != nil && (busy || (*gone)()) {
		return nil
	}
	if busy {
		return keys
	}
	left = c.decided(ctx, keys)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if !c.keeps(key) {
			delete(c.has, key)
			continue
		}
		switch e, err := c.p.tap.Backend().Get(ctx, key); {
		case err != nil:
			left = append(left, key)
		case e == nil:
			delete(c.has, key)
		default:
			c.has[key] = e.Value
		}
	}
	return left
}

// checkTold says whether the core has what the storage has wherever waiting callers were
// told so. Nothing may be in the middle of an apply.
func (r *run) checkTold(n *node) bool {
	p := n.now()
	if p == nil || p.core == nil {
		return true
	}
	at := p.tap.Secondary(r.mode).Applied(context.Background())
	n.disk.mu.Lock()
	c := cursorOn(n.disk)
	n.disk.mu.Unlock()
	if c.Copying || at != c.Position || at == (replication.Position{}) {
		return true
	}
	want := r.replica(n)
	p.core.mu.Lock()
	d := differ(p.core.has, want)
	p.core.mu.Unlock()
	if d != "" && n.now() == p {
		r.fail(Told, "%s is said to be applied on %s, and its core was not told of all that is stored: %s", at, n.name, d)
		return false
	}
	return true
}

// underSession tells the core under the context of the session, which ends with the plugin
// too. The core then drops what comes later, and what it has no time for.
func underSession(p *process) applyFrame {
	return func(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
		p.mu.Lock()
		g := p.plugin
		p.mu.Unlock()
		gone := func() bool { return ctx.Err() != nil || g.over() }
		p.core.gone.Store(&gone)
		defer p.core.gone.Store(nil)
		return p.tap.Secondary(p.node.sim.mode).ApplyFrame(ctx, f)
	}
}
