// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ackEvery is how many rows an acknowledgement may run ahead of its record.
// Losing one means that rows are kept a little longer.
const ackEvery = 1024

// slot retains the rows after what a secondary has acknowledged.
type slot struct {
	acked replication.Position
	// stored is the sequence of the record; rows up to it may be deleted.
	stored uint64
}

// OpenSlot begins retention after the present watermark for a secondary,
// replacing a slot of the same id, and returns that position; see
// [replication.Host]. It is durable.
func (t *Tap) OpenSlot(ctx context.Context, mode replication.Mode, id string) (replication.Position, error) {
	none := replication.Position{}
	j, cfg, err := t.regime.Load().modeOf(mode)
	if err != nil {
		return none, err
	}
	if id == "" || len(id) > replication.StateKeyMax {
		return none, replication.Errorf(replication.InvalidInput, "the id of a slot must have 1 to %d bytes", replication.StateKeyMax)
	}
	h := j.retainFor(mode, id, cfg.Epoch)
	if err := j.waitFor(ctx, h); err != nil {
		j.forget(mode, id)
		return none, err
	}
	at := replication.Position{Epoch: cfg.Epoch, Term: j.term, Sequence: j.seq.Watermark()}
	if err := t.writeSlot(ctx, mode, id, at); err != nil {
		j.forget(mode, id)
		return none, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.slots[mode][id]
	if s == nil {
		return none, replication.Errorf(replication.NotFound, "the slot %q was closed while it was opened", id)
	}
	s.acked, s.stored = at, at.Sequence
	return at, nil
}

// retainFor makes the slot, and all writes that begin after it store rows. It
// returns the last number that might have been given out without a row.
func (j *activeJournal) retainFor(mode replication.Mode, id string, epoch replication.Epoch) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	idle := j.openSlots() == 0
	h := j.seq.SetRetain(true)
	if idle {
		if j.deleted >= j.lastRow {
			j.deleted = h // there are no rows in between
		}
		j.rowsFrom = h
	}
	if j.slots[mode] == nil {
		j.slots[mode] = map[string]*slot{}
	}
	j.slots[mode][id] = &slot{acked: replication.Position{Epoch: epoch, Term: j.term, Sequence: h}, stored: h}
	return h
}

// waitFor waits until the watermark has reached a number.
func (j *activeJournal) waitFor(ctx context.Context, n uint64) error {
	for n > 0 {
		wait := j.seq.Moved(n - 1)
		if wait == nil {
			return nil
		}
		select {
		case <-wait:
		case <-j.ctx.Done():
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// AckSlot says that a secondary has made everything up to a position durable;
// see [replication.Host]. PositionLost for a position of another epoch.
func (t *Tap) AckSlot(_ context.Context, mode replication.Mode, id string, at replication.Position) error {
	j, cfg, err := t.regime.Load().modeOf(mode)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.slots[mode][id]
	switch {
	case s == nil:
		return noSlot(id)
	case at.Epoch != cfg.Epoch:
		return replication.Errorf(replication.PositionLost, "the position %s is not of this primary's epoch %s", at, cfg.Epoch)
	case at.Sequence > j.seq.Watermark():
		return replication.Errorf(replication.InvalidInput, "the position %s is ahead of this primary", at)
	}
	if at.Sequence > s.acked.Sequence {
		s.acked = at
	}
	if s.acked.Sequence-s.stored >= ackEvery {
		j.wake()
	}
	return nil
}

// CloseSlot ends retention for a secondary; no error without such a slot. It may
// be called without a journal: the record is deleted all the same.
func (t *Tap) CloseSlot(ctx context.Context, mode replication.Mode, id string) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	if err := t.inner.Delete(ctx, journal.SlotKey(mode, id)); err != nil {
		return storageFailed("delete a slot", err)
	}
	if j := t.regime.Load().journal; j != nil {
		j.forget(mode, id)
	}
	return nil
}

// forget takes a slot out of memory. When it was the last, rows are stored no
// more and those that there are will be deleted.
func (j *activeJournal) forget(mode replication.Mode, id string) {
	j.mu.Lock()
	delete(j.slots[mode], id)
	if j.openSlots() == 0 {
		if h := j.seq.SetRetain(false); h > j.lastRow {
			j.lastRow = h
		}
	}
	j.mu.Unlock()
	j.wake()
}

// openSlots counts slots; the caller holds j.mu.
func (j *activeJournal) openSlots() int {
	n := 0
	for _, s := range j.slots {
		n += len(s)
	}
	return n
}

// loadSlots reads the slots of modes that are new to the journal. A slot of an
// epoch that is over retains nothing; its secondary is told PositionLost.
func (j *activeJournal) loadSlots(ctx context.Context, modes map[replication.Mode]ModeConfig) error {
	t := j.tap
	for mode, cfg := range modes {
		loaded := map[string]*slot{}
		names, err := t.inner.List(ctx, journal.SlotPrefix(mode))
		if err != nil {
			return storageFailed("list the slots", err)
		}
		for _, name := range names {
			b, err := t.readFresh(ctx, journal.SlotPrefix(mode)+name)
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
			if rec.Acked.Epoch == cfg.Epoch {
				loaded[rec.ID] = &slot{acked: rec.Acked, stored: rec.Acked.Sequence}
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
		}
		j.mu.Unlock()
	}
	return nil
}

// trustSlots sets, for a new term, from where rows are complete: the head may be
// older than the last time that no slot was open, the records of slots are not.
func (j *activeJournal) trustSlots() {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := j.seq.Watermark()
	for _, slots := range j.slots {
		for _, s := range slots {
			from = min(from, s.stored)
		}
	}
	j.rowsFrom = max(j.rowsFrom, from)
}

// persistAcks makes acknowledgements durable that are ahead of their records.
func (j *activeJournal) persistAcks(ctx context.Context) error {
	type due struct {
		mode replication.Mode
		id   string
		at   replication.Position
	}
	var all []due
	j.mu.Lock()
	for m, slots := range j.slots {
		for id, s := range slots {
			if s.acked.Sequence > s.stored {
				all = append(all, due{m, id, s.acked})
			}
		}
	}
	j.mu.Unlock()
	var errs []error
	for _, d := range all {
		if err := j.tap.writeSlot(ctx, d.mode, d.id, d.at); err != nil {
			errs = append(errs, err)
			continue
		}
		j.mu.Lock()
		s := j.slots[d.mode][d.id]
		if s != nil && s.stored < d.at.Sequence {
			s.stored = d.at.Sequence
		}
		j.mu.Unlock()
		if s == nil {
			// Closed meanwhile: its record must not come back.
			if err := j.tap.inner.Delete(ctx, journal.SlotKey(d.mode, d.id)); err != nil {
				errs = append(errs, storageFailed("delete a slot", err))
			}
		}
	}
	return errors.Join(errs...)
}

func (t *Tap) writeSlot(ctx context.Context, mode replication.Mode, id string, at replication.Position) error {
	b, err := (&journal.Slot{ID: id, Acked: at}).Encode()
	if err != nil {
		return replication.Errorf(replication.Internal, "encode a slot: %w", err)
	}
	if err := t.inner.Put(ctx, &physical.Entry{Key: journal.SlotKey(mode, id), Value: b}); err != nil {
		return storageFailed("write a slot", err)
	}
	return nil
}

func noSlot(id string) error {
	return replication.Errorf(replication.NotFound, "there is no slot %q: the secondary has to be registered again or to copy", id)
}
