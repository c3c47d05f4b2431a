// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
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
	// opened is the sequence at which retention began.
	opened uint64
	// recorded says that a record of it was written, or may have been.
	recorded bool
	// lost says why nothing is retained any more, empty while the slot holds.
	lost string
	// cut counts the copies in a row that the cap has cut off.
	cut int
	// seen is when the secondary was last heard of.
	seen time.Time
	// warned says that the log has said that the cap is near.
	warned bool
}

// record is the stored form.
func (s *slot) record(id string) *journal.Slot {
	return &journal.Slot{ID: id, Acked: s.acked, Opened: s.opened, Lost: s.lost, Cut: s.cut}
}

// OpenSlot begins retention after the present watermark for a secondary,
// replacing a slot of the same id, and returns that position; see
// [replication.Host]. It is durable.
func (p *primary) OpenSlot(ctx context.Context, mode replication.Mode, id string) (replication.Position, error) {
	none := replication.Position{}
	j, cfg, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return none, err
	}
	if id == "" || len(id) > replication.StateKeyMax {
		return none, replication.Errorf(replication.InvalidInput, "the id of a slot must have 1 to %d bytes",
			replication.StateKeyMax)
	}
	if err := j.forgetRecord(ctx, mode, id); err != nil {
		return none, err
	}
	h, mine := j.retainFor(mode, id, cfg.Epoch)
	if err := j.waitFor(ctx, h); err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	at := replication.Position{Epoch: cfg.Epoch, Term: j.term, Sequence: j.seq.Watermark()}
	done, err := p.slotRecords.Take(ctx)
	if err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	defer done()
	rec := &journal.Slot{ID: id, Acked: at, Opened: at.Sequence, Cut: mine.cut}
	j.mu.Lock()
	mine.recorded = true
	j.mu.Unlock()
	if err := p.writeSlot(ctx, mode, rec); err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.slots[mode][id]
	if s == nil {
		return none, replication.Errorf(replication.NotFound, "the slot %q was closed while it was opened", id)
	}
	s.acked, s.stored, s.opened, s.lost, s.seen = at, at.Sequence, at.Sequence, "", time.Now()
	return at, nil
}

// forgetRecord deletes the record of a slot before the slot is opened anew. A crash would
// bring back the slot that the record describes, and the rows after its position may be gone
// as soon as the new slot retains from a later one.
func (j *activeJournal) forgetRecord(ctx context.Context, mode replication.Mode, id string) error {
	j.mu.Lock()
	known := j.slots[mode][id] != nil
	j.mu.Unlock()
	if !known {
		return nil
	}
	done, err := j.of.slotRecords.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := j.of.below.Inner.Delete(ctx, journal.SlotKey(mode, id)); err != nil {
		return failure.Storage("delete a slot", err)
	}
	return nil
}

// unopened takes a slot back that could not be opened. A record of it may have been
// written all the same: if that cannot be deleted the slot goes on to retain rows, as
// the record says after a crash.
func (j *activeJournal) unopened(ctx context.Context, mode replication.Mode, id string, mine *slot) {
	j.mu.Lock()
	recorded := mine.recorded
	if !recorded && j.slots[mode][id] == mine {
		delete(j.slots[mode], id)
		j.idle()
	}
	j.mu.Unlock()
	if !recorded {
		j.wake()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := j.of.below.Inner.Delete(ctx, journal.SlotKey(mode, id)); err != nil {
		j.of.below.Logger.Warn("a slot could not be opened, and it is not known whether its record was written; it retains "+
			"rows until it is opened anew",
			"mode", mode, "id", id, "error", err)
		return
	}
	j.forget(mode, id)
}

// retainFor makes the slot, and all writes that begin after it store rows. It
// returns the last number that might have been given out without a row, and the slot.
func (r *retention) retainFor(mode replication.Mode, id string, epoch replication.Epoch) (uint64, *slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := r.openSlots() == 0
	h := r.seq.SetRetain(true)
	if idle {
		if r.deleted >= r.lastRow {
			r.deleted = h // there are no rows in between
		}
		r.rowsFrom = h
		r.mark() // numbers of before have no rows
	}
	if r.slots[mode] == nil {
		r.slots[mode] = map[string]*slot{}
	}
	s := &slot{acked: replication.Position{Epoch: epoch, Term: r.term, Sequence: h}, stored: h, opened: h,
		seen: time.Now()}
	if old := r.slots[mode][id]; old != nil && old.fresh() {
		if s.cut = old.cut; old.lost != "" {
			s.cut++
		}
	}
	r.slots[mode][id] = s
	return h, s
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
			return failure.Ended
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// AckSlot says that a secondary has made everything up to a position durable;
// see [replication.Host]. PositionLost for a position of another epoch, and for a
// slot that is lost. It also says that the secondary is there, for the cap in age.
func (p *primary) AckSlot(_ context.Context, mode replication.Mode, id string, at replication.Position) error {
	j, cfg, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s, err := j.slotThatHolds(mode, id)
	if err != nil {
		return err
	}
	if at.Epoch != cfg.Epoch {
		return replication.Errorf(replication.PositionLost, "the position %s is not of this primary's epoch %s", at,
			cfg.Epoch)
	}
	if err := j.checkHistory(at); err != nil {
		return err
	}
	if at.Sequence > j.seq.Watermark() {
		return replication.Errorf(replication.InvalidInput, "the position %s is ahead of this primary", at)
	}
	s.seen = time.Now()
	if at.Sequence > s.acked.Sequence {
		s.acked, s.cut = at, 0
	}
	if s.acked.Sequence-s.stored >= ackEvery {
		j.wake()
	}
	return nil
}

// SlotSeen says that the secondary of a slot is there, for the cap in age. NotFound
// without such a slot, PositionLost when it is lost.
func (p *primary) SlotSeen(mode replication.Mode, id string) error {
	j, _, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s, err := j.slotThatHolds(mode, id)
	if err == nil {
		s.seen = time.Now()
	}
	return err
}

// slotThatHolds is a slot that is not lost. The journal's lock is held.
func (r *retention) slotThatHolds(mode replication.Mode, id string) (*slot, error) {
	s := r.slots[mode][id]
	switch {
	case s == nil:
		return nil, noSlot(id)
	case s.lost != "":
		return nil, lostSlot(id, s.lost)
	}
	return s, nil
}

// CloseSlot ends retention for a secondary; no error without such a slot. It may
// be called without a journal: the record is deleted all the same.
func (p *primary) CloseSlot(ctx context.Context, mode replication.Mode, id string) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	done, err := p.slotRecords.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := p.below.Inner.Delete(ctx, journal.SlotKey(mode, id)); err != nil {
		return failure.Storage("delete a slot", err)
	}
	if j := p.writeMode.Load().journal; j != nil {
		j.forget(mode, id)
	}
	return nil
}

// forget takes a slot out of memory. When it was the last, rows are stored no
// more and those that there are will be deleted.
func (r *retention) forget(mode replication.Mode, id string) {
	r.mu.Lock()
	delete(r.slots[mode], id)
	r.idle()
	r.mu.Unlock()
	r.wake()
}

// openSlots counts the slots that retain rows; the caller holds j.mu.
func (r *retention) openSlots() int {
	n := 0
	for _, slots := range r.slots {
		for _, s := range slots {
			if s.lost == "" {
				n++
			}
		}
	}
	return n
}

func noSlot(id string) error {
	return replication.Errorf(replication.NotFound, "there is no slot %q: the secondary has to be registered again or "+
		"to copy", id)
}
