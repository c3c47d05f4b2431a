// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// readFresh reads a record past the cache, which may be stale on a node that was
// a standby; nil if there is none.
func (s *backing) readFresh(ctx context.Context, key string) ([]byte, error) {
	e, err := s.inner.Get(physical.CacheRefreshContext(ctx, true), key)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Value, nil
}

func storageFailed(what string, err error) error {
	// The one failure that an operator can mend at once. Raft gives no more than its text.
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return replication.Errorf(replication.StorageFailed, "the disk of this cluster is full, so the storage failed to %s; make room on it, and it goes on by itself: %w", what, err)
	}
	return replication.Errorf(replication.StorageFailed, "the storage failed to %s: %w", what, err)
}

// writeHead makes the head durable and then allows numbers up to reserved. Ended says
// that no more are given out.
func (j *activeJournal) writeHead(ctx context.Context, reserved uint64, ended bool) error {
	j.headMu.Lock()
	defer j.headMu.Unlock()
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
	if err := j.of.inner.Put(ctx, &physical.Entry{Key: journal.HeadKey, Value: b}); err != nil {
		return storageFailed("write the head of the journal", err)
	}
	j.seq.Reserve(reserved)
	return nil
}

// turns lets one after the other do what takes as long as the storage does.
type turns chan struct{}

// try takes a turn if it is free.
func (t turns) try() (done func(), ok bool) {
	select {
	case t <- struct{}{}:
		return t.end, true
	default:
		return nil, false
	}
}

func (t turns) end() { <-t }

// take waits for a turn; done ends it.
func (t turns) take(ctx context.Context) (done func(), err error) {
	if done, ok := t.try(); ok {
		return done, nil
	}
	select {
	case t <- struct{}{}:
		return t.end, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loadSlots reads the slots of modes that are new to the journal. A slot of an
// epoch that is over retains nothing; its secondary is told PositionLost.
func (j *activeJournal) loadSlots(ctx context.Context, modes map[replication.Mode]ModeConfig) error {
	p := j.of
	for mode, cfg := range modes {
		loaded := map[string]*slot{}
		names, err := p.inner.List(ctx, journal.SlotPrefix(mode))
		if err != nil {
			return storageFailed("list the slots", err)
		}
		for _, name := range names {
			b, err := p.readFresh(ctx, journal.SlotPrefix(mode)+name)
			if err != nil {
				return storageFailed("read a slot", err)
			}
			if b == nil {
				continue
			}
			rec, err := journal.DecodeSlot(b)
			if err != nil {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: %w", mode, err)
			}
			if journal.SlotKey(mode, rec.ID) != journal.SlotPrefix(mode)+name {
				return replication.Errorf(replication.StorageFailed, "the slots of %s replication cannot be loaded: the record %q is that of another slot", mode, name)
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
	done, err := j.of.slotRecords.take(ctx)
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
			if err := j.of.inner.Delete(ctx, journal.SlotKey(d.mode, d.id)); err != nil {
				errs = append(errs, storageFailed("delete a slot", err))
			}
		}
	}
	return errors.Join(errs...)
}

// writeSlot writes the record of a slot. It is the caller's turn of t.slotRecords.
func (p *primary) writeSlot(ctx context.Context, mode replication.Mode, rec *journal.Slot) error {
	b, err := rec.Encode()
	if err != nil {
		return replication.Errorf(replication.Internal, "encode a slot: %w", err)
	}
	if err := p.inner.Put(ctx, &physical.Entry{Key: journal.SlotKey(mode, rec.ID), Value: b}); err != nil {
		return storageFailed("write a slot", err)
	}
	return nil
}
