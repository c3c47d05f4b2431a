// SPDX-License-Identifier: MPL-2.0

// Package retention decides which rows of a term of the journal are kept, and for which secondary. It knows the slots,
// their caps, the number from which rows are complete, and the terms that still have rows.
//
// It does no input or output, and starts nothing. Its caller stores what is decided here, and reports when it is
// stored.
package retention

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Retention is the retention of one term. Safe for concurrent use; its lock is held for a moment.
type Retention struct {
	seq  *journal.Sequencer
	caps Caps

	rowBytes atomic.Uint64 // size of all rows that were ever stored
	lookAt   atomic.Uint64 // from this size on the slots have to be looked at

	mu       sync.Mutex // of what follows
	terms    []journal.TermStart
	marks    journal.Marks
	slots    slots
	rowsFrom uint64                      // rows up to here may be gone
	deleted  uint64                      // rows up to here are gone from storage
	lacking  map[replication.Mode]uint64 // rows up to here lack something
	lastRow  uint64                      // no row above it is stored, while no slot is open
}

// New is the retention of a new term, with the numbers of a sequencer and the head of the former terms. No slot is
// open.
func New(head *journal.Head, seq *journal.Sequencer, caps Caps) *Retention {
	last := seq.Watermark()
	r := &Retention{
		seq: seq, caps: caps, marks: head.Marks,
		terms: slices.Concat(head.Terms, []journal.TermStart{{Term: seq.Term(), First: last + 1}}),
		slots: slots{}, lacking: map[replication.Mode]uint64{},
		rowsFrom: head.RowsAfter, deleted: head.RowsAfter, lastRow: last,
	}
	// Rows of a crashed term that came after its last mark are not counted.
	r.rowBytes.Store(head.Marks.Last().Bytes)
	r.lookAt.Store(math.MaxUint64)
	return r
}

// Head is the present head, with the numbers up to reserved. ended says that no more are given out.
func (r *Retention) Head(reserved uint64, ended bool) *journal.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots.open() == 0 && r.deleted >= r.lastRow {
		r.deleted = max(r.deleted, r.seq.Watermark()) // nothing is stored while no slot is open
	}
	// If rows of the next term are deleted, a term has no rows left, and no secondary is at its end.
	for len(r.terms) > 1 && r.terms[1].First <= r.deleted {
		r.terms = r.terms[1:]
	}
	r.marks = r.marks.Prune(r.deleted)
	r.mark()
	return &journal.Head{
		Term: r.seq.Term(), Reserved: reserved, Ended: ended, Finished: r.seq.Watermark(), RowsAfter: r.deleted,
		Terms: slices.Clone(r.terms), Marks: slices.Clone(r.marks),
	}
}

// mark notes how far the journal is. The caller holds mu.
func (r *Retention) mark() {
	// Read the bytes first: a row that comes in between then counts as retained.
	bytes := r.rowBytes.Load()
	r.marks = r.marks.Add(journal.Mark{Sequence: r.seq.Allocated(), Bytes: bytes, Time: time.Now().UnixNano()})
}

// Terms are those whose rows may be stored.
func (r *Retention) Terms() []journal.TermStart {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.terms)
}

// At is the position of a sequence in an epoch.
func (r *Retention) At(epoch replication.Epoch, sequence uint64) replication.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return replication.Position{Epoch: epoch, Term: journal.TermAt(r.terms, sequence), Sequence: sequence}
}

// Has says whether the storage has a position of the journal's epoch. If not, gone says that the position proves a lost
// history.
func (r *Retention) Has(at replication.Position) (has, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return journal.Has(r.terms, at)
}

// FoundLate says that a row of a term was written after the next one had begun.
func (r *Retention) FoundLate(term, sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.terms {
		if t := &r.terms[i]; t.Term == term {
			t.Late = max(t.Late, sequence)
		}
	}
}

// WasLate says whether a position is at or below such a late row.
func (r *Retention) WasLate(at replication.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.terms, func(t journal.TermStart) bool {
		return t.Term == at.Term && at.Sequence <= t.Late
	})
}

// Deletable is the span of rows, after from up to to, whose acknowledgement by all slots is stored. From now on readers
// of these rows get PositionLost. The span is empty if it would have too few rows. nobody says that no slot retains
// rows.
func (r *Retention) Deletable(few uint64) (from, to uint64, nobody bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	nobody = r.slots.open() == 0
	to = r.seq.Watermark()
	if nobody {
		to = min(to, r.lastRow)
	}
	to = min(to, r.slots.acknowledged(to))
	// Deleting a few rows at a time would cost a transaction for each.
	if to <= r.deleted || (to-r.deleted < few && !nobody) {
		return 0, 0, nobody
	}
	r.rowsFrom = max(r.rowsFrom, to)
	return r.deleted, to, nobody
}

// Deleted says that the rows up to a number are gone.
func (r *Retention) Deleted(to uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deleted = max(r.deleted, to)
}

// Incomplete says that the rows of a mode up to now lack deletions that cannot be recovered. Every secondary has to
// compare, even one that has read all rows.
func (r *Retention) Incomplete(mode replication.Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lacking[mode] = r.seq.Allocated()
}

// Complete is an error if the rows after a number do not lead to the primary's content, or if the slot retains them no
// longer.
func (r *Retention) Complete(mode replication.Mode, id string, after uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.slots.holding(mode, id); err != nil {
		return err
	}
	if lacking := r.lacking[mode]; after < lacking {
		return replication.Errorf(replication.PositionLost,
			"the journal lacks deletions up to %d, of a mount that was not known then: the secondary has to compare and copy",
			lacking)
	}
	return nil
}

// Stored is an error if rows after a number may be gone from storage, or if the slot retains them no longer.
func (r *Retention) Stored(mode replication.Mode, id string, after uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.slots.holding(mode, id); err != nil {
		return err
	}
	if after < r.rowsFrom {
		return replication.Errorf(replication.PositionLost,
			"the journal has no rows between %d and %d any more: the secondary has to compare and copy", after, r.rowsFrom)
	}
	return nil
}
