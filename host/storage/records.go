// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// writeHead makes the head durable and then allows numbers up to reserved. Ended says
// that no more are given out.
func (j *activeJournal) writeHead(ctx context.Context, reserved uint64, ended bool) error {
	j.headMu.Lock()
	defer j.headMu.Unlock()
	if !j.of.below.Fences() {
		term, err := j.of.headTerm(ctx)
		if err != nil {
			return err
		}
		if term > j.term {
			return errDeposed
		}
	}
	j.mu.Lock()
	if j.openSlots() == 0 && j.deleted >= j.lastRow {
		j.deleted = max(j.deleted, j.seq.Watermark()) // nothing is stored while no slot is open
	}
	head := journal.Head{Term: j.term, Reserved: reserved, Ended: ended, Finished: j.seq.Watermark(), RowsAfter: j.deleted}
	// A term whose successor has deleted rows has none left, and nobody stands at its
	// end.
	for len(j.terms) > 1 && j.terms[1].First <= j.deleted {
		j.terms = j.terms[1:]
	}
	head.Terms = append(head.Terms, j.terms...)
	j.marks = j.marks.Prune(j.deleted)
	j.mark()
	head.Marks = append(head.Marks, j.marks...)
	j.mu.Unlock()
	b, err := head.Encode()
	if err != nil {
		return fmt.Errorf("encode the head of the journal: %w", err)
	}
	if err := j.of.below.Inner.Put(ctx, &physical.Entry{Key: journal.HeadKey, Value: b}); err != nil {
		return failure.Storage("write the head of the journal", err)
	}
	j.seq.Reserve(reserved)
	return nil
}

// errDeposed keeps the head of the leader of now. Without it nobody would know of its term
// when that ends: its rows would never be deleted and its numbers given out again.
var errDeposed = replication.Errorf(replication.Unavailable, "another node has begun to lead")

// headTerm is the term that has written the head, zero if none has.
func (p *primary) headTerm(ctx context.Context) (uint64, error) {
	b, err := p.below.ReadFresh(ctx, journal.HeadKey)
	if err != nil {
		return 0, failure.Storage("read the head of the journal", err)
	}
	if b == nil {
		return 0, nil
	}
	head, err := journal.DecodeHead(b)
	if err != nil {
		return 0, replication.Errorf(replication.StorageFailed, "the head of the journal cannot be read: %w", err)
	}
	return head.Term, nil
}

// keepHead writes the head again if a deposed leader has, who had looked at it before this
// one began.
func (j *activeJournal) keepHead(ctx context.Context) error {
	term, err := j.of.headTerm(ctx)
	if err != nil || term >= j.term {
		return err
	}
	return j.writeHead(ctx, j.seq.Limit(), false)
}

// loadSlots reads the slots of modes that are new to the journal. A slot of an
// epoch that is over retains nothing; its secondary is told PositionLost.
func (j *activeJournal) loadSlots(ctx context.Context, modes map[replication.Mode]ModeConfig) error {
	p := j.of
	for mode, cfg := range modes {
		loaded := map[string]*slot{}
		names, err := p.below.Inner.List(ctx, journal.SlotPrefix(mode))
		if err != nil {
			return failure.Storage("list the slots", err)
		}
		for _, name := range names {
			b, err := p.below.ReadFresh(ctx, journal.SlotPrefix(mode)+name)
			if err != nil {
				return failure.Storage("read a slot", err)
			}
			if b == nil {
				continue
			}
			rec, err := journal.DecodeSlot(b)
			if err != nil {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: %w", mode, err)
			}
			if journal.SlotKey(mode, rec.ID) != journal.SlotPrefix(mode)+name {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: the record "+
					"%q is that of another slot", mode, name)
			}
			if rec.Acked.Epoch == cfg.Epoch {
				// All are taken for seen: this primary may have been away itself.
				loaded[rec.ID] = &slot{
					acked: rec.Acked, stored: rec.Acked.Sequence, opened: rec.Opened, lost: rec.Lost, cut: rec.Cut, seen: time.Now(),
				}
			}
		}
		j.mu.Lock()
		for id, s := range j.slots[mode] {
			if s.acked.Epoch == cfg.Epoch {
				loaded[id] = s // what is in memory is newer than its record
			}
		}
		j.slots[mode] = loaded
		if j.openSlots() > 0 {
			j.seq.SetRetain(true)
		} else {
			j.idle() // all were of an epoch that is over
		}
		j.mu.Unlock()
	}
	return nil
}

// trustSlots sets, for a new term, from where rows are complete: the head may be
// older than the last time that no slot was open, the records of slots are not.
func (r *retention) trustSlots() {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.seq.Watermark()
	for _, slots := range r.slots {
		for _, s := range slots {
			if s.lost == "" {
				from = min(from, s.stored)
			}
		}
	}
	r.rowsFrom = max(r.rowsFrom, from)
}

// persistAcks makes acknowledgements durable that are ahead of their records.
func (j *activeJournal) persistAcks(ctx context.Context) error {
	done, err := j.of.slotRecords.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	type due struct {
		mode replication.Mode
		id   string
		rec  *journal.Slot
	}
	var all []due
	j.mu.Lock()
	for m, slots := range j.slots {
		for id, s := range slots {
			if s.acked.Sequence > s.stored && s.lost == "" {
				s.recorded = true
				all = append(all, due{m, id, s.record(id)})
			}
		}
	}
	j.mu.Unlock()
	var errs []error
	for _, d := range all {
		if err := j.of.writeSlot(ctx, d.mode, d.rec); err != nil {
			errs = append(errs, err)
			continue
		}
		j.mu.Lock()
		s := j.slots[d.mode][d.id]
		if s != nil && s.stored < d.rec.Acked.Sequence {
			s.stored = d.rec.Acked.Sequence
		}
		j.mu.Unlock()
		if s == nil {
			// Closed meanwhile: its record must not come back.
			if err := j.of.below.Inner.Delete(ctx, journal.SlotKey(d.mode, d.id)); err != nil {
				errs = append(errs, failure.Storage("delete a slot", err))
			}
		}
	}
	return errors.Join(errs...)
}

// writeSlot writes the record of a slot. The caller has the turn of slotRecords.
func (p *primary) writeSlot(ctx context.Context, mode replication.Mode, rec *journal.Slot) error {
	b, err := rec.Encode()
	if err != nil {
		return replication.Errorf(replication.Internal, "encode a slot: %w", err)
	}
	if err := p.below.Inner.Put(ctx, &physical.Entry{Key: journal.SlotKey(mode, rec.ID), Value: b}); err != nil {
		return failure.Storage("write a slot", err)
	}
	return nil
}
