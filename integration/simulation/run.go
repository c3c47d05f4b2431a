// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// run is one simulation under way.
type run struct {
	set     *Set
	mode    replication.Mode
	plan    *plan
	tamper  Tamper
	options storage.Options
	engine  engine.Config
	events  *events
	debug   io.Writer
	steps   *Steps

	history     *history
	primary     *node
	secondaries []*node
	tasks       sync.WaitGroup // connections that are served

	stop context.CancelFunc

	mu     sync.Mutex
	failed *Failure
	acked  []ack
	// lost counts how often a slot was given up, which costs its secondary a copy.
	lost map[string]int
	// late counts the writes that took effect after they had failed.
	late int
	// halfMade are mounts of which what their backends have declared is not stored.
	halfMade map[string]bool
	// deposed says that two nodes have led at a time.
	deposed atomic.Bool
	epoch   replication.Epoch
}

// Check names what a run is checked for.
type Check string

// The checks.
const (
	// Prefix: at every moment at which its cursor says so, a secondary has exactly
	// the primary's content at that position.
	Prefix Check = "a secondary is the primary at its position"
	// Equal: in the end all have the same content, and the same fingerprint.
	Equal Check = "equal content after quiet"
	// Rest: after the last fault the secondaries catch up.
	Rest Check = "the secondaries come to rest"
	// Acknowledged: no write that was answered is missing.
	Acknowledged Check = "no acknowledged write is missing"
	// Copies: a fault costs at most one full copy. A fault of the network costs none.
	Copies Check = "at most one copy a fault"
	// Bounded: what is under way, and what is kept, has a bound.
	Bounded Check = "bounded memory"
	// Classes: a performance secondary has the shared keys that its filter lets through, and its
	// own local ones.
	Classes Check = "a performance secondary has what is shared, and what is its own"
	// Told: when a position counts as applied, the core was told of all that is stored.
	Told Check = "what the core was told is what is stored"
	// Order: a key's numbers grow with its writes.
	Order Check = "numbers are in the order of the writes"
)

// Failure is a check that did not hold.
type Failure struct {
	Seed  uint64
	Check Check
	What  string
	log   *events
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: %s: %s", f.Seed, f.Check, f.What)
}

// WriteLog prints what happened until then.
func (f *Failure) WriteLog(w io.Writer) { _, _ = f.log.WriteTo(w) }

// Options of a run.
type Options struct {
	// Tamper breaks something on purpose.
	Tamper Tamper
	// Debug gets the engines' own logs.
	Debug io.Writer
	// Steps, if set, counts the steps at which processes were ended.
	Steps *Steps
}

// Run runs the simulation of a seed: in a bubble of testing/synctest, with a set that
// was made in one. It returns nil if all checks hold.
func Run(seed uint64, set *Set, o Options) *Failure {
	p := newPlan(seed, set)
	if o.Tamper.plan != nil {
		o.Tamper.plan(p)
	}
	if p.mounts != nil {
		set = set.performance
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &run{
		set: set, mode: set.mode, plan: p, tamper: o.Tamper, debug: o.Debug, steps: o.Steps, history: newHistory(),
		stop:   stop,
		lost:   map[string]int{},
		events: &events{begun: time.Now()},
		options: storage.Options{RingBytes: p.ringBytes, RangeBytes: p.rangeBytes, FrameBytes: p.frameBytes,
			StoreAfter: p.storeAfter, Numbers: p.numbers, Caps: retention.Caps{Bytes: p.slotBytes}, AnyPrefix: seed%2 == 0,
			Alone: func(key string) bool {
				return keyclass.Tables[key] != "" || strings.HasPrefix(key, vaultname.ReplicationFilters)
			}},
		engine: engine.Config{Mode: set.mode, HeartbeatEvery: 4 * time.Second, WindowBytes: windowBytes,
			WindowFrames: windowFrames},
	}
	if o.Tamper.options != nil {
		o.Tamper.options(&r.options)
	}
	r.primary = r.newNode("prim", primaryAddr, replication.Primary, p.primaryTxn, 0)
	r.history.mounts = p.mounts != nil
	r.history.joint = p.primaryTxn
	r.primary.disk.landed = func(changes []change) {
		r.history.landed(changes)
		r.lostSlots(changes)
	}
	r.epoch = set.epoch
	r.primary.disk.deposedLanded = r.landedDeposed
	r.primary.disk.lateLanded = func(p *pending) {
		r.landedLate(r.primary)
		r.history.landedLate(p.changes)
		r.lostSlots(p.changes)
	}
	r.seedRows(r.primary, set.primary)
	for i := range p.secondaries {
		s := r.newNode(secondaryID(i), fmt.Sprintf("https://%s.test:8201", secondaryID(i)), replication.Secondary,
			p.secondaryTxn[i], uint64(i)+1)
		s.link = newLink(p.stream(50 + uint64(i)))
		r.seedRows(s, set.members[i])
		s.disk.landed = func(changes []change) { r.check(s, changes) }
		s.disk.lateLanded = func(*pending) { r.landedLate(s) }
		r.secondaries = append(r.secondaries, s)
	}
	r.fill()
	r.fillMounts()
	r.drawn()
	if o.Tamper.disks != nil {
		o.Tamper.disks(r.primary.disk, r.secondaryDisks())
	}

	var nodes, work sync.WaitGroup
	nodes.Go(func() { r.primary.live(ctx) })
	for i, s := range r.secondaries {
		nodes.Go(func() {
			pause(ctx, p.joins[i])
			s.live(ctx)
		})
	}
	busy, done := context.WithTimeout(ctx, p.length)
	for i := range p.writers {
		work.Go(func() { r.write(busy, i) })
	}
	work.Go(func() { r.strike(busy) })
	work.Go(func() { r.operate(busy) })
	if p.mounts != nil {
		for i, s := range r.secondaries {
			work.Go(func() { r.writeLocal(busy, s, 300+uint64(i)) })
		}
	}
	work.Wait()
	done()
	if ctx.Err() == nil {
		r.heal()
		r.oneMoreTable(ctx)
		r.settle(ctx)
	}
	stop()
	nodes.Wait()
	r.tasks.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *run) nodes() []*node { return append([]*node{r.primary}, r.secondaries...) }

func (r *run) secondaryDisks() []*disk {
	var disks []*disk
	for _, s := range r.secondaries {
		disks = append(disks, s.disk)
	}
	return disks
}

func (r *run) newNode(name, addr string, role replication.Role, txn bool, stream uint64) *node {
	return &node{
		locals: locals{may: map[string][][]byte{}}, sim: r, name: name, addr: addr, stream: stream, role: role,
		rng: r.plan.stream(20 + stream), calls: map[string]int{},
		disk: &disk{who: name, txn: txn, events: r.events, rng: r.plan.stream(10 + stream), rows: map[string][]byte{},
			steps: map[string]int{}, cursorKey: journal.CursorKey(r.mode)},
	}
}

// seedRows puts the plugin's records on a node's disk.
func (r *run) seedRows(n *node, records map[string][]byte) {
	for k, v := range records {
		n.disk.rows[statePrefix+k] = v
	}
}

// fail keeps the first failure and ends the run.
func (r *run) fail(c Check, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return
	}
	r.failed = &Failure{Seed: r.plan.seed, Check: c, What: fmt.Sprintf(format, args...), log: r.events}
	r.events.add("sim", "FAILED: %s: %s", c, r.failed.What)
	r.stop()
}

func (r *run) logger(name string) hclog.Logger {
	if r.debug == nil {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Output: r.debug, Level: hclog.Debug})
}

// plan is what a seed decides.
type plan struct {
	seed         uint64
	rng          *rand.Rand
	primaryTxn   bool
	secondaries  int
	secondaryTxn []bool
	keys         []string
	writers      int
	writes       int // by each of them
	length       time.Duration
	ringBytes    int
	rangeBytes   int
	frameBytes   int
	storeAfter   time.Duration
	numbers      int    // reserved at once
	slotBytes    uint64 // that a slot retains at most
	strikes      int
	joins        []time.Duration // when a secondary begins
	grave        int             // of them that may cost a copy
	mounts       *mountsPlan     // of a run in performance mode
	late         bool            // failed writes may take effect later
	leaders      bool            // two nodes may lead at a time
}

// Bounds of what a primary sends ahead; small, so that they are reached.
const (
	windowBytes  = 4 << 10
	windowFrames = 2
)

func (p *plan) stream(n uint64) *rand.Rand { return rand.New(rand.NewPCG(p.seed, n)) }

func newPlan(seed uint64, set *Set) *plan {
	p := &plan{seed: seed}
	p.rng = p.stream(1)
	p.primaryTxn = p.rng.IntN(3) > 0
	p.secondaries = 1 + p.rng.IntN(2)
	for range p.secondaries {
		p.secondaryTxn = append(p.secondaryTxn, p.rng.IntN(3) > 0)
	}
	for i := range 12 + p.rng.IntN(24) {
		p.keys = append(p.keys, fmt.Sprintf("logical/%c/key-%02d", 'a'+i%3, i))
	}
	p.writers = 2 + p.rng.IntN(3)
	p.writes = 25 + p.rng.IntN(40)
	p.length = time.Duration(15+p.rng.IntN(30)) * time.Second
	p.ringBytes = []int{400, 2 << 10, 16 << 10, 1 << 20}[p.rng.IntN(4)]
	p.rangeBytes = []int{60, 300, 1 << 20}[p.rng.IntN(3)]
	p.frameBytes = []int{200, 2 << 10, 1 << 20}[p.rng.IntN(3)]
	p.strikes = 1 + p.rng.IntN(6)
	for range p.secondaries {
		at := time.Duration(0)
		if p.rng.IntN(2) == 0 {
			at = short(p.rng, p.length/2)
		}
		p.joins = append(p.joins, at)
	}
	if rng := p.stream(5); rng.IntN(2) == 0 {
		p.cut(rng, set.cuts)
	}
	rng := p.stream(6)
	p.numbers = []int{4, 16, 64, 0}[rng.IntN(4)]
	if rng.IntN(8) == 0 {
		p.slotBytes = []uint64{800, 4 << 10}[rng.IntN(2)]
	}
	if rng := p.stream(8); rng.IntN(5) == 0 {
		p.mounts = newMountsPlan(rng, p.secondaries)
	}
	p.late = p.stream(7).IntN(8) == 0
	if p.mounts != nil && slices.Contains(p.mounts.filtered, true) {
		p.late = false // no fingerprint tells a filtered secondary of what is not in the journal
	}
	p.leaders = p.mounts == nil && !p.late && p.slotBytes == 0 && p.stream(9).IntN(6) == 0
	p.storeAfter = []time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second}[p.stream(4).IntN(3)]
	return p
}

// cut gives the content names at which the index is cut: some of them, or as many as make
// several blocks.
func (p *plan) cut(rng *rand.Rand, cuts []string) {
	if rng.IntN(2) == 0 {
		p.keys = append([]string{}, cuts[:keysMax/2+rng.IntN(keysMax/2)]...)
		return
	}
	for i := range p.keys {
		if rng.IntN(2) == 0 {
			p.keys[i] = cuts[i]
		}
	}
}
