// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// unopenTimeout bounds the time to take back a slot that could not be opened.
const unopenTimeout = 5 * time.Second

// slots are the slots of the secondaries.
type slots struct {
	*records
	*current
}

// Slots are the slots of a mode on the active node of a primary, sorted by id; none
// elsewhere.
func (p *slots) Slots(mode replication.Mode) []retention.Status {
	j, _, err := p.journalOf(mode)
	if err != nil {
		return nil
	}
	return j.kept.Slots(mode)
}

// OpenSlot begins to retain rows after the present watermark for a secondary, and returns that position; see
// [replication.Host]. It replaces a slot of the same id. The slot is stored when it returns.
func (p *slots) OpenSlot(ctx context.Context, mode replication.Mode, id string) (replication.Position, error) {
	none := replication.Position{}
	j, cfg, err := p.journalOf(mode)
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
	h, mine := j.kept.Open(mode, id, cfg.Epoch)
	if err := j.waitFor(ctx, h); err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	at := replication.Position{Epoch: cfg.Epoch, Term: j.Term(), Sequence: j.Watermark()}
	done, err := p.turn.Take(ctx)
	if err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	defer done()
	if err := p.putSlot(ctx, mode, j.kept.Recording(mine, at)); err != nil {
		j.unopened(ctx, mode, id, mine)
		return none, err
	}
	if !j.kept.Opened(mode, id, at) {
		return none, replication.Errorf(replication.NotFound, "the slot %q was closed while it was opened", id)
	}
	return at, nil
}

// forgetRecord deletes the record of a slot before the slot is opened anew. Otherwise a crash would bring back the old
// slot, and the rows after its position may be gone because the new slot retains only later ones.
func (j *Journal) forgetRecord(ctx context.Context, mode replication.Mode, id string) error {
	if !j.kept.Known(mode, id) {
		return nil
	}
	done, err := j.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	return j.deleteSlot(ctx, mode, id)
}

// unopened takes back a slot that could not be opened. Its record may have been written all the same. If the record
// cannot be deleted, the slot goes on to retain rows, because it would do so after a crash too.
func (j *Journal) unopened(ctx context.Context, mode replication.Mode, id string, mine *retention.Slot) {
	defer j.wake()
	if !j.kept.Unopened(mine) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unopenTimeout)
	defer cancel()
	if err := j.deleteSlot(ctx, mode, id); err != nil {
		j.below.Logger.Warn("a slot could not be opened, and it is not known whether its record was written; it retains "+
			"rows until it is opened anew",
			"mode", mode, "id", id, "error", err)
		return
	}
	j.kept.Close(mode, id)
}

// AckSlot says that a secondary has stored everything up to a position; see [replication.Host]. The error is
// PositionLost for a position of another epoch and for a lost slot. For the cap in age it also says that the secondary
// is there.
func (p *slots) AckSlot(_ context.Context, mode replication.Mode, id string, at replication.Position) error {
	j, cfg, err := p.journalOf(mode)
	if err != nil {
		return err
	}
	if err := j.kept.Holds(mode, id); err != nil {
		return err
	}
	if at.Epoch != cfg.Epoch {
		return replication.Errorf(replication.PositionLost, "the position %s is not of this primary's epoch %s", at,
			cfg.Epoch)
	}
	if err := j.checkHistory(at); err != nil {
		return err
	}
	if at.Sequence > j.Watermark() {
		return replication.Errorf(replication.InvalidInput, "the position %s is ahead of this primary", at)
	}
	due, err := j.kept.Ack(mode, id, at)
	if due {
		j.wake()
	}
	return err
}

// SlotSeen says that the secondary of a slot is there, for the cap in age. The error is NotFound without such a slot,
// and PositionLost if the slot is lost.
func (p *slots) SlotSeen(mode replication.Mode, id string) error {
	j, _, err := p.journalOf(mode)
	if err != nil {
		return err
	}
	due, err := j.kept.Seen(mode, id)
	if due {
		j.wake()
	}
	return err
}

// CloseSlot ends retention for a secondary. It is no error if there is no such slot. Without a running journal it still
// deletes the record.
func (p *slots) CloseSlot(ctx context.Context, mode replication.Mode, id string) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	done, err := p.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := p.deleteSlot(ctx, mode, id); err != nil {
		return err
	}
	if now := p.now.Load(); now != nil {
		now.kept.Close(mode, id)
		now.wake()
	}
	return nil
}
