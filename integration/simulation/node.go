// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// node is a cluster of one node: what stays when its processes end.
type node struct {
	sim  *run
	name string
	addr string
	// stream separates its random numbers from those of other nodes.
	stream uint64
	role   replication.Role
	disk   *disk
	// link leads to the primary; nil on the primary.
	link *link

	mu         sync.Mutex
	rng        *rand.Rand
	proc       *process
	former     *process // that was deposed and goes on
	listening  *plugin
	calls      map[string]int
	pluginTrap *trap
	laggy      time.Duration
	repeats    float64
	older      []*replication.Frame
	copies     int
	rested     int
	ahead      uint64 // see begins
	downtime   time.Duration
	locals     locals      // of a performance secondary
	unsure     atomic.Bool // its index may not be that of its content, see landedLate
	mute       bool        // it ends without a word to its peers, as when its power goes
	lost       []*conn
}

// process is one life of a node's server.
type process struct {
	node    *node
	handle  *handle
	tap     *storage.Tap
	core    *core            // of a secondary
	known   *keyclass.Mounts // in performance mode
	deposed chan struct{}    // that another node leads
	ended   chan struct{}    // that somebody has decided to end it
	once    sync.Once
	orderly bool
	// from and content are of a secondary, secondaries of a primary.
	from        *proof.Secondary
	content     *content
	secondaries secondaries

	applying chan struct{}
	jobs     chan func() // of the plugin's calls
	work     sync.WaitGroup

	mu      sync.Mutex
	plugin  *plugin
	closing bool
	writes  sync.WaitGroup // of the core
}

// admit lets the core make a write. A core that steps down makes no more.
func (p *process) admit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.writes.Add(1)
	return true
}

func (n *node) say(format string, args ...any) { n.sim.events.add(n.name, format, args...) }

// live runs the node until the run ends: its server is started anew each time that
// it has ended.
func (n *node) live(ctx context.Context) {
	for ctx.Err() == nil {
		p, err := n.boot(ctx)
		if err != nil {
			n.say("the server does not start: %v", err)
			pause(ctx, time.Second)
			continue
		}
		n.mu.Lock()
		n.proc = p
		n.mu.Unlock()
		served := make(chan struct{})
		n.sim.tasks.Go(func() {
			p.serve(ctx)
			close(served)
		})
		select {
		case <-served:
		case <-p.deposed:
		}
		n.mu.Lock()
		n.proc = nil
		down := n.downtime
		n.mu.Unlock()
		pause(ctx, down)
	}
}

// boot makes the server of a node ready, as a host does before its core writes.
func (n *node) boot(ctx context.Context) (*process, error) {
	p := &process{node: n, handle: n.disk.start(), ended: make(chan struct{}), deposed: make(chan struct{}),
		applying: make(chan struct{}, 1), jobs: make(chan func())}
	n.revive()
	if n.role == replication.Primary {
		n.sim.checkAcked(n.sim.content(n))
	}
	inner := onestep.Over(p.handle.backend(), false)
	if steps, ok := inner.(*onestep.Store); ok {
		steps.SetKey(func() ([]byte, error) { return []byte(n.sim.set.epoch.ID), nil })
	}
	o := n.sim.options
	o.Fenced = n.disk.txn && !n.sim.plan.leaders
	p.tap = storage.New(inner, o)
	if err := p.border(); err != nil {
		return nil, err
	}
	err := onestep.Settle(ctx, inner)
	if err == nil {
		err = p.loadMounts(ctx)
	}
	if err == nil && n.role == replication.Primary {
		err = p.activate(ctx)
	}
	if err == nil && n.role == replication.Secondary {
		guard := storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{n.sim.mode}}
		if err = p.tap.SetGuard(ctx, guard); err == nil {
			err = p.tap.StartFingerprint(ctx, n.sim.mode, n.sim.set.indexKey)
			p.core = newCore(p, n.stream)
			if err == nil && p.known != nil {
				err = p.core.review(ctx, p.tap.Secondary(n.sim.mode).ForceCopy)
				p.core.takeStored() // without what the filter hides
			}
		}
	}
	if err != nil {
		p.handle.end()
		p.abandon()
		return nil, err
	}
	n.say("the server has started")
	return p, nil
}

// end decides that a process ends. An orderly end is a step down: then nothing is under
// way.
func (p *process) end(orderly bool) {
	p.once.Do(func() {
		p.orderly = orderly
		close(p.ended)
		if !orderly {
			p.handle.end()
			p.node.disconnect(p)
		}
	})
}

// serve runs the plugin until the process ends.
func (p *process) serve(ctx context.Context) {
	for !p.over(ctx) {
		g := &plugin{p: p, dead: make(chan struct{}), turn: make(chan struct{}, 1)}
		p.content.frame = p.content.Secondary.ApplyFrame
		if tamper := p.node.sim.tamper.apply; tamper != nil {
			p.content.frame = tamper(p)
		}
		g.engine = engine.New(p.node.sim.engine, g, p.node.sim.logger(p.node.name))
		p.mu.Lock()
		p.plugin = g
		p.mu.Unlock()
		g.turn <- struct{}{}
		err := g.engine.Start(ctx, replication.StartRequest{Role: p.node.role, ClusterID: p.node.sim.set.id})
		<-g.turn
		if err != nil {
			// If a plugin does not take up its role, the host starts it anew.
			p.node.say("the plugin does not start: %v", err)
			g.kill()
		}
		select {
		case <-g.dead:
		case <-p.ended:
		case <-ctx.Done():
		}
		g.turn <- struct{}{} // for good
		if p.orderly || ctx.Err() != nil {
			_ = g.engine.Stop(context.WithoutCancel(ctx))
		}
		g.kill()
		p.node.unlisten(g)
		_ = g.engine.Stop(context.WithoutCancel(ctx))
		if !p.over(ctx) {
			pause(ctx, 300*time.Millisecond)
		}
	}
	p.end(true)
	if p.orderly {
		p.mu.Lock()
		p.closing = true
		p.mu.Unlock()
		p.writes.Wait()
		p.rests()
		if err := p.tap.Deactivate(context.WithoutCancel(ctx)); err != nil {
			p.node.say("the journal did not end in order: %v", err)
		}
		p.handle.end()
	}
	p.abandon()
	close(p.jobs)
	p.work.Wait()
}

// rests waits until nothing is taken up any more: what follows needs the lock that changes of
// classes hold while they wait for the storage.
func (p *process) rests() {
	if p.core == nil {
		return
	}
	select {
	case p.core.taking <- struct{}{}:
	case <-p.handle.dead:
	}
}

// carryOut runs a call of the plugin in another goroutine. Goroutines that have done one
// call do the next, because their stacks have grown already.
func (p *process) carryOut(job func()) {
	select {
	case p.jobs <- job:
		return
	default:
	}
	p.work.Go(func() {
		job()
		for job := range p.jobs {
			job()
		}
	})
}

func (p *process) over(ctx context.Context) bool {
	select {
	case <-p.ended:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (p *process) abandon() {
	_ = p.tap.Abandon(context.Background())
	_ = p.tap.Close(context.Background())
}

// now is the process that runs, nil while the node is down.
func (n *node) now() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil || n.proc.handle.over() {
		return nil
	}
	return n.proc
}

// crash ends the server, without a word to its peers if mute.
func (n *node) crash(mute bool, down time.Duration) {
	n.mu.Lock()
	p := n.proc
	n.mute, n.downtime = mute, down
	n.mu.Unlock()
	if p != nil {
		n.say("the server crashes, mute %v, down for %s", mute, down)
		p.end(false)
	}
}

// lag is how long a call of the plugin takes to reach its host.
func (n *node) lag() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.laggy == 0 || n.rng.IntN(3) > 0 {
		return 0
	}
	return time.Duration(n.rng.Int64N(int64(n.laggy)))
}

// repeat gives the host a frame again, or an older one, as a plugin does that has heard no
// answer. That must change nothing.
func (n *node) repeat(ctx context.Context, from *proof.Secondary, f *replication.Frame) {
	n.mu.Lock()
	again := n.repeats > 0 && n.rng.Float64() < n.repeats
	frame := f
	if again && len(n.older) > 0 && n.rng.IntN(2) == 0 {
		frame = n.older[n.rng.IntN(len(n.older))]
	}
	if len(n.older) < 8 {
		n.older = append(n.older, f)
	} else {
		n.older[n.rng.IntN(8)] = f
	}
	n.mu.Unlock()
	if again {
		_, err := from.ApplyFrame(ctx, frame)
		n.say("the frame up to %d once more: %v", frame.To.Sequence, err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
