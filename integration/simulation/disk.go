// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var (
	errPower   = errors.New("the process has ended")
	errIO      = errors.New("input/output error")
	errNoSpace = errors.New("no space left on device")
	errRefused = errors.New(physical.ErrValueTooLarge)
)

// disk is the storage of a node. What it has answered is durable. A write under way when
// its process ends may be there or not.
type disk struct {
	who    string
	txn    bool // it has transactions, as raft; otherwise single writes, as file
	events *events

	mu   sync.Mutex
	rng  *rand.Rand
	rows map[string][]byte
	open *handle
	full bool
	// picky refuses some values for good, as storage with a smaller limit does.
	picky bool
	slow  time.Duration
	fails float64 // how many of the operations fail
	// trap ends the process at a step, see trap.
	trap *trap
	// landed is called with what has become durable, in order, with mu held.
	landed func(changes []change)
	// loses returns the rows of a transaction that a broken storage forgets.
	loses func(changes []change) []change
	// lying storage answers before it has written. What it answered last is lost with the
	// process.
	lying  bool
	unsure []map[string][]byte
	// late says that writes which have failed may take effect later, owing has those that may;
	// see late.go.
	late       bool
	owing      []*pending
	disorderly bool
	lateLanded func(p *pending)
	// deposedLanded is called with what a former leader has written.
	deposedLanded func(changes []change)
	// cursor is the content of the cursor's row, see cursorOn.
	cursor    *replication.Cursor
	cursorRow *byte
	cursorKey string

	steps map[string]int
}

// change is one row; nil deletes it.
type change struct {
	key   string
	value []byte
}

// trap ends the process of a node at the nth time that a step of its storage is reached:
// before the step, or between the step and its answer.
type trap struct {
	step  string
	nth   int
	after bool
	fire  func()
}

// pending is a write that is under way.
type pending struct {
	step    string
	changes []change
	done    bool
	late    bool // it was answered with an error before it has landed
	by      *handle
}

// handle is a disk as one process sees it.
type handle struct {
	d    *disk
	dead chan struct{}
	busy map[*pending]bool
	// deposed says that another node leads; guarded by the disk's mu.
	deposed bool
}

// transactions is a handle with them.
type transactions struct{ *handle }

var (
	_ physical.Backend             = (*handle)(nil)
	_ physical.Transactional       = transactions{}
	_ physical.TransactionalLimits = transactions{}
)

// txnEntries is small, so that frames need several transactions.
const txnEntries = 24

func (d *disk) start() *handle {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = &handle{d: d, dead: make(chan struct{}), busy: map[*pending]bool{}}
	return d.open
}

func (h *handle) backend() physical.Backend {
	if h.d.txn {
		return transactions{h}
	}
	return h
}

// end is the end of the process. Each write under way lands or does not.
func (h *handle) end() {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.endLocked()
}

func (h *handle) endLocked() {
	select {
	case <-h.dead:
		return
	default:
	}
	close(h.dead)
	h.d.decideAll()
	for p := range h.busy {
		if !p.done && h.d.rng.IntN(2) == 0 {
			h.d.land(p)
		}
		p.done = true
	}
	if h.d.lying {
		for i := len(h.d.unsure) - 1; i >= 0; i-- {
			for k, v := range h.d.unsure[i] {
				h.d.set(k, v)
			}
		}
	}
	h.d.unsure = nil
}

// land needs mu.
func (d *disk) land(p *pending) {
	d.decideBefore(p)
	changes := p.changes
	if d.loses != nil {
		changes = d.loses(changes)
	}
	if d.lying {
		before := map[string][]byte{}
		for _, c := range changes {
			before[c.key] = d.rows[c.key]
		}
		if d.unsure = append(d.unsure, before); len(d.unsure) > 3 {
			d.unsure = d.unsure[1:]
		}
	}
	for _, c := range changes {
		d.set(c.key, c.value)
		d.events.add(d.who, "landed %s = %s", c.key, shown(c.value))
	}
	p.done = true
	if p.by.deposed && d.deposedLanded != nil {
		d.deposedLanded(changes)
	}
	switch {
	case p.late:
		d.lateLanded(p)
	case d.landed != nil:
		d.landed(changes)
	}
}

func (d *disk) set(key string, value []byte) {
	if value == nil {
		delete(d.rows, key)
		return
	}
	d.rows[key] = value
}

// write makes changes durable together.
func (h *handle) write(ctx context.Context, changes []change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := h.d
	p := &pending{step: stepOf(changes), changes: changes, by: h}
	d.mu.Lock()
	if h.over() {
		d.mu.Unlock()
		return errPower
	}
	d.steps[p.step]++
	t := d.trap
	if t != nil && (t.step != p.step || t.nth > 1) {
		if t.step == p.step {
			t.nth--
		}
		t = nil
	}
	delay := 20*time.Microsecond + time.Duration(d.rng.Int64N(int64(400*time.Microsecond)))
	if d.slow > 0 {
		delay += d.slow/2 + time.Duration(d.rng.Int64N(int64(d.slow)))
	}
	h.busy[p] = true
	failed, lands := d.fails > 0 && d.rng.Float64() < d.fails, d.rng.IntN(2) == 0
	var gone <-chan struct{}
	if d.late {
		gone = ctx.Done()
	}
	d.mu.Unlock()

	timer := time.NewTimer(delay)
	var left error
	select {
	case <-timer.C:
	case <-h.dead:
		timer.Stop()
	case <-gone:
		timer.Stop()
		left = ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(h.busy, p)
	switch {
	case h.over():
		return errPower
	case t != nil && d.trap == t:
		d.trap = nil
		d.events.add(d.who, "the process ends at %q, landed %v", p.step, t.after)
		if t.after {
			d.land(p)
		}
		h.endLocked()
		t.fire()
		return errPower
	case left != nil:
		d.owe(p)
		return left
	case d.full && p.grows():
		return errNoSpace
	case d.picky && p.refused():
		d.events.add(d.who, "a value is refused at %q", p.step)
		return errRefused
	case failed && d.late && d.rng.IntN(2) == 0:
		d.owe(p)
		return errIO
	case failed:
		if lands {
			d.land(p)
		}
		d.events.add(d.who, "an I/O error at %q, landed %v", p.step, lands)
		return errIO
	}
	d.land(p)
	return nil
}

func (p *pending) grows() bool {
	return slices.ContainsFunc(p.changes, func(c change) bool { return c.value != nil })
}

// refused says whether picky storage refuses a value of the content: a third of them.
func (p *pending) refused() bool {
	return slices.ContainsFunc(p.changes, func(c change) bool {
		return c.value != nil && keyclass.InView(c.key) && crc32.ChecksumIEEE(c.value)%3 == 0
	})
}

func (h *handle) over() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

// read lets a read of the disk happen at once, sometimes a little later, or fail.
func (h *handle) read(ctx context.Context, what func()) error {
	d := h.d
	d.mu.Lock()
	failed, late := d.fails > 0 && d.rng.Float64() < d.fails, d.rng.IntN(64) == 0
	delay := time.Duration(d.rng.Int64N(int64(200 * time.Microsecond)))
	d.mu.Unlock()
	if late {
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-h.dead:
			timer.Stop()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case h.over():
		return errPower
	case failed:
		d.events.add(d.who, "an I/O error of a read")
		return errIO
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	what()
	return nil
}

// Put implements physical.Backend.
func (h *handle) Put(ctx context.Context, e *physical.Entry) error {
	return h.write(ctx, []change{{e.Key, notNil(e.Value)}})
}

// Delete implements physical.Backend.
func (h *handle) Delete(ctx context.Context, key string) error {
	return h.write(ctx, []change{{key, nil}})
}

// Get implements physical.Backend.
func (h *handle) Get(ctx context.Context, key string) (e *physical.Entry, err error) {
	err = h.read(ctx, func() {
		if v, ok := h.d.rows[key]; ok {
			e = &physical.Entry{Key: key, Value: v}
		}
	})
	return e, err
}

// List implements physical.Backend.
func (h *handle) List(ctx context.Context, prefix string) (names []string, err error) {
	err = h.read(ctx, func() {
		for k := range h.d.rows {
			if rest, ok := strings.CutPrefix(k, prefix); ok {
				if dir, _, nested := strings.Cut(rest, "/"); nested {
					rest = dir + "/"
				}
				names = append(names, rest)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
	})
	return names, err
}

// Transaction implements physical.Transactional.
func (t transactions) Transaction(ctx context.Context, txn []*physical.TxnEntry) error {
	changes := make([]change, 0, len(txn))
	for _, e := range txn {
		switch e.Operation {
		case physical.PutOperation:
			changes = append(changes, change{e.Entry.Key, notNil(e.Entry.Value)})
		case physical.DeleteOperation:
			changes = append(changes, change{e.Entry.Key, nil})
		}
	}
	return t.write(ctx, changes)
}

// TransactionLimits implements physical.TransactionalLimits.
func (t transactions) TransactionLimits() (entries, bytes int) { return txnEntries, 32 << 10 }

func notNil(v []byte) []byte {
	if v == nil {
		return []byte{}
	}
	return v
}
