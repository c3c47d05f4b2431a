// SPDX-License-Identifier: MPL-2.0

// Package primary is what a primary does besides its writes: it begins and ends terms of the journal, keeps slots, and
// serves frames, ranges and answers to its secondaries.
//
// [WritePath] makes the core's writes and the journal rows, and takes the number of each from the [Journal] of the
// term. This package writes only its own records, the head of the journal and the slots, and deletes rows. Its own
// locks are held for a moment only. Who changes the journal holds the lock of the write path.
package primary

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// fenceKey is written before the head is read: on storage that orders writes
// (raft), everything that a former leader wrote is visible afterwards.
const fenceKey = "replication/journal/fence"

// Primary is a primary's part of the tap. Safe for concurrent use.
type Primary struct {
	*current
	*slots
	*contents
	*history
	*filters
	needs   Needs
	changed *changedViews
}

// New is the primary of a storage, without a journal.
func New(n Needs) *Primary {
	now := &current{}
	records := &records{below: n.Below, turn: make(lock.Turns, 1)}
	filters := &filters{classes: n.Below.Classes(), made: lock.NewRoom(), of: map[filterKey]allowed{}}
	return &Primary{
		current: now,
		slots:   &slots{records: records, current: now},
		history: &history{current: now, below: n.Below, tell: n.HistoryLost}, filters: filters,
		contents: &contents{
			below: n.Below, current: now, filters: filters, indexes: n.Indexes, asking: newAsking(),
			frames: n.FrameBytes, ranges: n.RangeBytes, reads: walk.NewWalks(), listings: walk.NewListings(),
		},
		needs: n, changed: newChangedViews(),
	}
}

// Activate begins a term of the journal. If a journal runs already, it changes the modes of that journal. When it
// returns, the term is durable, the indexes of the modes are started, and every later write is journalled.
//
// The host calls it at the start of each leadership of a primary, before the core writes a replicated key.
func (p *Primary) Activate(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	defer p.needs.Writes.Hold()()
	classes := p.needs.Below.Classes()
	for m := range cfg.Modes {
		if keyclass.ByMount(m) && classes.Mounts() == nil {
			// Without any Mounts the keys of local mounts would be sent. With empty ones no view is sent.
			p.needs.Below.Logger.Warn("nothing is known of the mounts, so replication leaves them all out", "mode", m)
			classes.SetMounts(keyclass.NewMounts())
		}
	}
	next := &running{modes: maps.Clone(cfg.Modes)}
	former := p.now.Load()
	fresh := former == nil
	if fresh {
		var err error
		if next.Journal, err = p.beginTerm(ctx); err != nil {
			return err
		}
	} else {
		next.Journal = former.Journal
	}
	if err := p.loadSlots(ctx, next); err != nil {
		if fresh {
			next.end()
		}
		return err
	}
	if fresh {
		next.kept.Trust()
		p.start(next.Journal)
	}
	p.now.Store(next)
	if err := p.needs.Writes.SetJournal(ctx, next.Journal, slices.Collect(maps.Keys(next.modes))); err != nil {
		return err
	}
	if fresh {
		former = &running{}
	}
	for m := range former.modes {
		if _, ok := next.modes[m]; !ok {
			next.endMode(m)
			if err := p.needs.Indexes.Stop(ctx, m, false); err != nil {
				return err
			}
		}
	}
	for m, c := range next.modes {
		if err := p.needs.Indexes.Start(ctx, m, c.IndexKey); err != nil {
			return err
		}
	}
	if fresh {
		p.reclassifyLater() // what is due since before
		return p.needs.Writes.SettleOwed(ctx)
	}
	return nil
}

// beginTerm makes a new term durable.
func (p *Primary) beginTerm(ctx context.Context) (*Journal, error) {
	if err := p.needs.Below.Inner.Put(ctx, &physical.Entry{Key: fenceKey, Value: []byte{1}}); err != nil {
		return nil, failure.Storage("begin a term of the journal", err)
	}
	head, err := p.records.head(ctx)
	if err != nil {
		return nil, err
	}
	// A promoted secondary goes on above the numbers that it has applied, so that its own never fall behind its former
	// primary's.
	applied, err := p.needs.Applied(ctx)
	if err != nil {
		return nil, err
	}
	last := max(head.Reserved, applied)
	formerEnd, unfinished := "", map[string]lateRow{}
	if n := len(head.Terms); n > 0 {
		end, err := p.termEnd(ctx, head)
		if err != nil {
			return nil, err
		}
		head.Terms[n-1].Next = end + 1
		formerEnd = journal.RowKey(head.Terms[n-1].Term, end)
		if !p.needs.Below.Fences() {
			if unfinished, err = p.unfinished(ctx, head.Terms[n-1].Term, end, head.Reserved); err != nil {
				return nil, err
			}
		}
	}
	o := &p.needs.Options
	seq := journal.NewSequencer(journal.NewTerm(head.Term), last, last+o.Numbers, o.RingBytes, o.RingRows)
	j := &Journal{
		records: p.records, seq: seq, kept: retention.New(head, seq, o.Caps), caps: o.Caps, numbers: o.Numbers,
		formerEnd: formerEnd, unfinished: unfinished, chores: make(chan struct{}, 1),
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	if err := j.writeHead(ctx, last+o.Numbers, false); err != nil {
		j.end()
		return nil, err
	}
	p.noteBefore(j)
	return j, nil
}

// loadSlots reads the slots of all modes of a journal.
func (p *Primary) loadSlots(ctx context.Context, of *running) error {
	for mode, cfg := range of.modes {
		var all []*journal.Slot
		err := p.eachSlot(ctx, mode, func(name string, b []byte) error {
			rec, err := journal.DecodeSlot(b)
			if err != nil {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: %w", mode, err)
			}
			if journal.SlotKey(mode, rec.ID) != journal.SlotPrefix(mode)+name {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: the record "+
					"%q is that of another slot", mode, name)
			}
			all = append(all, rec)
			return nil
		})
		if err != nil {
			return err
		}
		of.kept.Load(mode, cfg.Epoch, all)
	}
	return nil
}

// start starts the background tasks of a journal.
func (p *Primary) start(j *Journal) {
	j.tasks.Go(j.housekeeping)
	if !p.needs.Below.Fences() {
		l := &lateRows{j: j, writes: p.needs.Writes, done: map[string]*numberSet{}, pending: j.unfinished}
		j.tasks.Go(func() { l.watch(p.needs.LateEvery) })
	}
}

// Deactivate ends the journal: readers get Unavailable, and the head and all acknowledgements are stored. The host
// calls it after the core's last write, before it gives up the storage. Without a journal it does nothing. The journal
// ends even if an error is returned; then the next term leaves some numbers unused.
func (p *Primary) Deactivate(ctx context.Context) error {
	defer p.giveUp()()
	now := p.now.Load()
	if now == nil {
		p.reached = reached{} // the storage may be another cluster's when this is a primary again
		return nil
	}
	err := p.stop(ctx, slices.Collect(maps.Keys(now.modes)), true)
	drained := err == nil
	errs := []error{err, now.persist(ctx, true)}
	if drained {
		errs = append(errs, now.writeHead(ctx, now.seq.Allocated(), true))
	}
	return errors.Join(errs...)
}

// Abandon ends the journal and all fingerprints in memory and writes nothing.
func (p *Primary) Abandon(ctx context.Context) error {
	defer p.giveUp()()
	p.changed.take() // the next leadership learns the classes anew, before an index counts
	return p.stop(ctx, replication.Modes(), false)
}

// giveUp holds the write path, to end the journal. It first cancels the writes that wait to learn whether they landed,
// because the present holder of the write path may wait for them.
func (p *Primary) giveUp() (release func()) {
	cancel := func() {
		if now := p.now.Load(); now != nil {
			now.cancel()
		}
	}
	cancel()
	release = p.needs.Writes.Hold()
	cancel() // one may have begun meanwhile
	return release
}

// stop ends the indexes of modes, and then the journal if there is one.
func (p *Primary) stop(ctx context.Context, modes []replication.Mode, mayWrite bool) error {
	var errs []error
	for _, m := range modes {
		errs = append(errs, p.needs.Indexes.Stop(ctx, m, mayWrite))
	}
	if now := p.now.Swap(nil); now != nil {
		errs = append(errs, p.needs.Writes.SetJournal(ctx, nil, nil))
		now.end()
		p.noteReached(now.Journal)
	}
	p.forgetListed()
	return errors.Join(errs...)
}

// Rest stops the background tasks of the journal and waits for their end, at most until the context ends.
func (p *Primary) Rest(ctx context.Context) {
	if now := p.now.Load(); now != nil {
		now.rest(ctx)
	}
}

// Forget deletes the slots and the index of a mode that has ended: rows would be retained for the slots, and the index
// would cost each write a hash. The host calls it at the start of each leadership for each mode without a role, which
// also finishes a call that a crash cut.
func (p *Primary) Forget(ctx context.Context, mode replication.Mode) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	defer p.needs.Writes.Hold()()
	if now := p.now.Load(); now != nil {
		if _, ok := now.modes[mode]; ok {
			return replication.Errorf(replication.InvalidInput, "this cluster is a %s primary, so nothing of that is "+
				"forgotten", mode)
		}
		now.endMode(mode)
	}
	if err := p.needs.Indexes.Stop(ctx, mode, false); err != nil {
		return err
	}
	if err := p.deleteSlots(ctx, mode); err != nil {
		return err
	}
	return p.needs.Indexes.Forget(ctx, mode)
}
