// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/station"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ReadJournal streams the rows of a mode after a position; see [replication.Host]. The slot must be open. The error is
// PositionLost for a position of another epoch, ahead of this primary, or before the rows that the slot retains. The
// reader ends with the context, and with Unavailable when the journal ends.
func (p *contents) ReadJournal(ctx context.Context, mode replication.Mode, slotID string, after replication.Position) (
	replication.FrameReader, error) {
	j, cfg, err := p.journalOf(mode)
	if err != nil {
		return nil, err
	}
	if err := j.kept.Holds(mode, slotID); err != nil {
		return nil, err
	}
	if after.Epoch != cfg.Epoch {
		return nil, replication.Errorf(replication.PositionLost,
			"the secondary is at %s, which is not of this primary's epoch %s: it has to compare and copy", after, cfg.Epoch)
	}
	if err := j.checkHistory(after); err != nil {
		return nil, err
	}
	if mark := j.Watermark(); after.Sequence > mark {
		return nil, replication.Errorf(replication.PositionLost,
			"the secondary is at %s, ahead of this primary at sequence %d: it has to compare and copy", after, mark)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &reader{of: p, j: j, mode: mode, slot: slotID, epoch: cfg.Epoch, after: after.Sequence, ctx: ctx,
		cancel: cancel}, nil
}

// reader is a FrameReader over the ring, and over the storage for rows that have left the ring. It keeps no rows
// between frames.
type reader struct {
	of     *contents
	j      *Journal
	mode   replication.Mode
	slot   string
	epoch  replication.Epoch
	after  uint64
	allow  allowed // while a frame is made
	fit    int     // how many stored rows are likely to fit into what is left of a frame, as those before did
	ctx    context.Context
	cancel context.CancelFunc
}

// Close implements replication.FrameReader.
func (r *reader) Close() error {
	r.cancel()
	return nil
}

// Next implements replication.FrameReader. Under load a frame has all rows since the last frame, up to about
// Options.FrameBytes.
func (r *reader) Next() (*replication.Frame, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if r.j.ctx.Err() != nil {
			return nil, failure.Ended
		}
		wait := r.j.seq.Moved(r.after)
		if wait == nil {
			break
		}
		select {
		case <-wait:
		case <-r.j.ctx.Done():
		case <-r.ctx.Done():
		}
	}
	if _, cfg, err := r.of.journalOf(r.mode); err != nil {
		return nil, err
	} else if cfg.Epoch != r.epoch {
		return nil, replication.Errorf(replication.PositionLost, "this primary has begun the epoch %s: the secondary has "+
			"to compare and copy", cfg.Epoch)
	}
	if err := r.j.kept.Complete(r.mode, r.slot, r.after); err != nil {
		return nil, err
	}
	var f *replication.Frame
	err := r.of.filters.with(r.ctx, r.mode, r.slot, func(allow allowed) (err error) {
		r.allow = allow
		if f = r.fromMemory(); f == nil {
			f, err = r.fromStorage()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r.after = f.To.Sequence
	station.Log(r.of.below.Logger, station.Framed, r.after)
	return f, nil
}

// fromMemory makes a frame from rows in the ring, nil if they are not there.
func (r *reader) fromMemory() *replication.Frame {
	rows, to, ok := r.j.seq.Rows(r.after, r.of.frames)
	if !ok {
		return nil
	}
	enc := journal.NewFrameEncoder(r.after)
	f := &replication.Frame{After: r.after, To: r.j.kept.At(r.epoch, to)}
	for _, row := range rows {
		if ops := r.relevant(row.Ops); len(ops) > 0 {
			enc.Add(row.Sequence, ops)
			f.ConsistentFrom = max(f.ConsistentFrom, row.ConsistentFrom)
		}
	}
	f.Payload = enc.Payload()
	return f
}

// relevant are the operations that the reader's slot gets. If it gets all, this is the row's own slice.
func (r *reader) relevant(ops []journal.Op) []journal.Op {
	n := 0
	for i := range ops {
		if r.gets(&ops[i]) {
			n++
		}
	}
	if n == len(ops) {
		return ops
	}
	out := make([]journal.Op, 0, n)
	for i := range ops {
		if r.gets(&ops[i]) {
			out = append(out, ops[i])
		}
	}
	return out
}

// gets says whether the reader's slot gets an operation. The class that the key had when it was written decides: a key
// that was held back then is journalled again once its mount is known. The present class can only exclude: a key that
// turns out to be local is never sent. Deletions of a removed mount's keys are still sent.
func (r *reader) gets(op *journal.Op) bool {
	if !keyclass.InMode(op.Class, r.mode) {
		return false
	}
	if !keyclass.ByMount(r.mode) {
		return r.allow.lets(op.Key)
	}
	now := r.of.below.Classes().Class(op.Key)
	return (keyclass.InMode(now, r.mode) || keyclass.IsHeld(r.mode, now, op.Key)) && r.allow.lets(op.Key)
}
