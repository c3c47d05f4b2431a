// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// DefaultNumbers is how many numbers are reserved at once. After a crash up to twice as
// many numbers are void; it costs one small write for so many writes.
const DefaultNumbers = 4096

// fenceKey is written before the head is read: on storage that orders writes
// (raft), everything that a former leader wrote is visible afterwards.
const fenceKey = "replication/journal/fence"

// JournalConfig says what a primary journals.
type JournalConfig struct {
	// Modes are those in which the cluster is a primary; at least one.
	Modes map[replication.Mode]ModeConfig
}

// ModeConfig is what the journal needs to know of one mode.
type ModeConfig struct {
	Epoch replication.Epoch
	// IndexKey is the secret of the mode's fingerprint.
	IndexKey fingerprint.Key
}

// activeJournal is the journal of one term of a primary. headMu is taken before the lock
// of retention.
type activeJournal struct {
	retention
	// formerEnd is the last row of the former term up to which none is missing.
	formerEnd string

	of     *primary
	ctx    context.Context // ends with the journal
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	headMu sync.Mutex // serialises writes of the head record
}

// retention is which rows of a term are kept, and for whom. It reads and writes nothing.
type retention struct {
	term   uint64
	seq    *journal.Sequencer
	caps   SlotCaps
	chores chan struct{} // wakes the housekeeping

	rowBytes atomic.Uint64 // size of all rows that were ever stored
	lookAt   atomic.Uint64 // from this size on the slots have to be looked at

	mu       sync.Mutex // of what follows; held for a moment
	terms    []journal.TermStart
	marks    journal.Marks
	slots    map[replication.Mode]map[string]*slot
	rowsFrom uint64                      // rows up to here may be gone
	deleted  uint64                      // rows up to here are gone from storage
	lacking  map[replication.Mode]uint64 // rows up to here lack something
	lastRow  uint64                      // no row above it is stored, while no slot is open
}

// Activate begins a term of the journal, or, when there is one, changes the
// modes that it is for. The term is durable when it returns, and every write
// that begins after is journalled. The fingerprints of the modes are started.
//
// The host calls it at the start of each leadership of a primary, before the
// core writes anything that is replicated.
func (p *primary) Activate(ctx context.Context, cfg JournalConfig) error {
	if len(cfg.Modes) == 0 {
		return replication.Errorf(replication.InvalidInput, "a journal needs at least one replication mode")
	}
	for m, c := range cfg.Modes {
		if err := failure.Mode(m); err != nil {
			return err
		}
		if c.Epoch.IsZero() {
			return replication.Errorf(replication.InvalidInput, "the journal for %s replication needs an epoch", m)
		}
	}
	p.control.Lock()
	defer p.control.Unlock()
	if _, ok := cfg.Modes[replication.Performance]; ok && p.below.Classes().Mounts() == nil {
		// Without it local mounts would leave. It is empty: no view leaves.
		p.below.Logger.Warn("nothing is known of the mounts, so performance replication leaves them all out")
		p.below.Classes().SetMounts(keyclass.NewMounts())
	}
	modes := copyMap(cfg.Modes, func(map[replication.Mode]ModeConfig) {})
	former := p.writeMode.Load().modes
	j := p.writeMode.Load().journal
	fresh := j == nil
	if fresh {
		var err error
		if j, err = p.beginTerm(ctx); err != nil {
			return err
		}
	}
	if err := j.loadSlots(ctx, modes); err != nil {
		if fresh {
			j.end()
		}
		return err
	}
	if fresh {
		j.trustSlots()
		j.start()
	}
	if err := p.change(ctx, func(r *writeMode) { r.journal, r.modes = j, modes }); err != nil {
		return err
	}
	for m := range former {
		if _, ok := modes[m]; !ok {
			j.endMode(m)
			if err := p.indexes.Stop(ctx, m, false); err != nil {
				return err
			}
		}
	}
	for m, c := range modes {
		if err := p.indexes.Start(ctx, m, c.IndexKey); err != nil {
			return err
		}
	}
	if fresh {
		return p.settleOwed(ctx)
	}
	return nil
}

// beginTerm makes a new term durable.
func (p *primary) beginTerm(ctx context.Context) (*activeJournal, error) {
	if err := p.below.Inner.Put(ctx, &physical.Entry{Key: fenceKey, Value: []byte{1}}); err != nil {
		return nil, failure.Storage("begin a term of the journal", err)
	}
	head := &journal.Head{}
	b, err := p.below.ReadFresh(ctx, journal.HeadKey)
	if err != nil {
		return nil, failure.Storage("read the head of the journal", err)
	}
	if b != nil {
		if head, err = journal.DecodeHead(b); err != nil {
			return nil, replication.Errorf(replication.StorageFailed, "the journal cannot go on: %w", err)
		}
	}
	last := head.Reserved
	// A promoted secondary goes on above what it has applied, so that its numbers
	// never fall behind those that it knows from its primary.
	for _, m := range modes {
		c, err := secondary.ReadCursor(ctx, p.below, m)
		if err != nil {
			return nil, err
		}
		last = max(last, c.Position.Sequence, c.ConsistentFrom, c.CopyAsOf)
	}
	j := &activeJournal{of: p, retention: retention{
		term: journal.NewTerm(head.Term), caps: p.caps, chores: make(chan struct{}, 1),
		slots:    map[replication.Mode]map[string]*slot{},
		rowsFrom: head.RowsAfter, deleted: head.RowsAfter, lastRow: last, marks: head.Marks,
	}}
	// Rows of a crashed term that came after its last mark are not counted.
	j.rowBytes.Store(head.Marks.Last().Bytes)
	j.lookAt.Store(math.MaxUint64)
	j.seq = journal.NewSequencer(j.term, last, last+p.numbers, p.ring, p.ringRows)
	if n := len(head.Terms); n > 0 {
		end, err := p.termEnd(ctx, head)
		if err != nil {
			return nil, err
		}
		head.Terms[n-1].Next = end + 1
		j.formerEnd = journal.RowKey(head.Terms[n-1].Term, end)
	}
	j.terms = slices.Concat(head.Terms, []journal.TermStart{{Term: j.term, First: last + 1}})
	j.ctx, j.cancel = context.WithCancel(context.Background())
	if err := j.writeHead(ctx, last+p.numbers, false); err != nil {
		j.end()
		return nil, err
	}
	j.noteBefore()
	return j, nil
}

// Deactivate ends the journal: readers get Unavailable, the head and all
// acknowledgements are made durable. The host calls it when the core has made
// its last write, before the storage is given up. Without a journal it does
// nothing. The journal has ended even when an error is returned; after one, the
// next term leaves some numbers unused.
func (p *primary) Deactivate(ctx context.Context) error {
	p.control.Lock()
	defer p.control.Unlock()
	r := p.writeMode.Load()
	j := r.journal
	if j == nil {
		p.reached = reached{} // it may have another cluster's storage when it is a primary again
		return nil
	}
	// Writes that wait for the storage to say what became of them give up.
	j.cancel()
	var errs []error
	for m := range r.modes {
		errs = append(errs, p.indexes.Stop(ctx, m, true))
	}
	errs = append(errs, p.change(ctx, func(r *writeMode) { r.journal, r.modes = nil, nil }))
	j.end()
	p.noteReached(j)
	drained := errors.Join(errs...) == nil
	errs = append(errs, j.persistAcks(ctx))
	if drained {
		errs = append(errs, j.writeHead(ctx, j.seq.Allocated(), true))
	}
	return errors.Join(errs...)
}

// abandon ends the journal and all fingerprints in memory and writes nothing. The caller holds
// control.
func (p *primary) abandon(ctx context.Context) error {
	r := p.writeMode.Load()
	if r.journal != nil {
		// First of all: writes that wait for the storage to say what became of them are
		// waited for below, and give up.
		r.journal.cancel()
	}
	var errs []error
	for m := range r.indexes {
		errs = append(errs, p.indexes.Stop(ctx, m, false))
	}
	if j := r.journal; j != nil {
		errs = append(errs, p.change(ctx, func(r *writeMode) { r.journal, r.modes = nil, nil }))
		j.end()
		p.noteReached(j)
	}
	return errors.Join(errs...)
}

func (j *activeJournal) start() {
	j.tasks.Add(1)
	go func() {
		defer j.tasks.Done()
		j.housekeeping()
	}()
	if !j.of.below.Fences() {
		j.tasks.Go(j.watchLate)
	}
}

// end stops everything that belongs to the journal and waits for it.
func (j *activeJournal) end() {
	j.cancel()
	j.seq.Close()
	j.tasks.Wait()
}

// allocate gives out a number; it waits when the reserved ones are used up and
// the storage is slow to reserve more.
func (j *activeJournal) allocate(ctx context.Context) (n uint64, retain bool, err error) {
	for {
		n, retain, low, ok, wait := j.seq.Allocate(j.of.numbers)
		if low {
			j.wake()
		}
		if ok {
			return n, retain, nil
		}
		select {
		case <-wait:
		case <-j.ctx.Done():
			return 0, false, failure.Ended
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
}

// Position is the watermark of a mode's journal, with the fingerprint if known.
func (p *primary) Position(mode replication.Mode) (*replication.JournalPosition, error) {
	r := p.writeMode.Load()
	j, cfg, err := r.modeOf(mode)
	if err != nil {
		return nil, err
	}
	at := &replication.JournalPosition{Position: replication.Position{Epoch: cfg.Epoch, Term: j.term,
		Sequence: j.seq.Watermark()}}
	if x := r.indexes[mode]; x != nil {
		at.Fingerprint, at.Keys = x.Sums().RootAt(at.Position.Sequence, j.seq.Allocated())
	}
	return at, nil
}

func inMode(class keyclass.Class, mode replication.Mode) bool { return keyclass.InMode(class, mode) }
