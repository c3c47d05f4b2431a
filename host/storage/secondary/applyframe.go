// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/station"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ApplyFrame applies the rows of a frame in order; see [replication.Host]. Each transaction has whole rows and the
// cursor at the last of them, so a crash leaves content that the primary had. The frame's proof belongs to the position
// at its end; the cursor keeps it.
func (s *Secondary) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	rows, err := s.checkFrame(f)
	if err != nil {
		return nil, err
	}
	station.Log(s.below.Logger, station.Received, f.To.Sequence)
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := follows(c, f); err != nil {
		return nil, err
	}
	if f.To.Sequence <= c.Position.Sequence {
		return c.Contract(), nil
	}
	a, err := s.readLacking(ctx, c)
	if err != nil {
		return nil, err
	}
	s.forced.Store(false)
	in := &frameApply{Secondary: s, frame: f, next: *c, load: s.newLoad(), lacks: a}
	in.next.ConsistentFrom = max(c.ConsistentFrom, f.ConsistentFrom)
	alone := false // the load has a row that must stay alone
	at := c.Position.Sequence
	for i := range rows {
		row := &rows[i]
		if row.Sequence <= c.Position.Sequence {
			continue
		}
		// The fingerprint is known for exactly one position: stop there and compare.
		if n := s.verifier.expects(f.To.Epoch, at, row.Sequence); n > in.next.Position.Sequence {
			if err := in.flush(ctx, n); err != nil {
				return nil, err
			}
		}
		was := alone
		alone = s.isAlone(row.Ops)
		if !in.load.takes(row.Ops) || (in.load.entries > 0 && (alone || was)) {
			if err := in.flush(ctx, at); err != nil {
				return nil, err
			}
		}
		in.load.add(row.Ops)
		at = row.Sequence
	}
	if err := in.flush(ctx, f.To.Sequence); err != nil {
		return nil, err
	}
	return in.next.Contract(), nil
}

// frameApply is a frame that is being applied: what is not written yet, and the cursor.
type frameApply struct {
	*Secondary
	frame *replication.Frame
	next  journal.Cursor
	load  *load
	lacks *lacking
}

// flush writes the load with the cursor at a sequence, and compares the content if the fingerprint of that position is
// known.
func (in *frameApply) flush(ctx context.Context, sequence uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := in.detached(ctx)
	defer cancel()
	at := in.frame.To
	at.Sequence = sequence
	in.next.Position = at
	if at == in.frame.To {
		in.next.Given = in.frame.Proof
	}
	err := in.write(ctx, in.load, &in.next, in.lacks, txn.Options{})
	reached := in.next
	in.stored(&reached, err)
	if err != nil {
		return err
	}
	station.Log(in.below.Logger, station.Applied, sequence)
	in.next.MustCopy = in.next.MustCopy || in.forced.Load()
	in.load = in.newLoad()
	if in.next.MustCopy {
		return nil
	}
	return in.verified(ctx, &in.next)
}

// checkFrame reads the payload and refuses what a primary would not send.
func (s *Secondary) checkFrame(f *replication.Frame) ([]journal.Row, error) {
	if f == nil || f.To.Sequence < f.After {
		return nil, replication.Errorf(replication.InvalidInput, "the frame ends before it begins")
	}
	rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
	if err != nil {
		return nil, failure.Malformed(err)
	}
	for i := range rows {
		if err := s.checkKeys(rows[i].Ops); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// follows is an error unless a frame goes on from a cursor, or is behind it.
func follows(c *journal.Cursor, f *replication.Frame) error {
	switch {
	case c.Copying:
		return replication.Errorf(replication.InvalidInput, "rows cannot be applied while a copy is under way")
	case c.MustCopy:
		return replication.Errorf(replication.PositionLost,
			"what this secondary may have was widened, so it has to compare and copy before it goes on")
	case c.Position.Epoch.IsZero() || c.Position.Epoch != f.To.Epoch:
		return replication.Errorf(replication.PositionLost,
			"the rows are of the epoch %s, this secondary is at %s: it has to compare and copy", f.To.Epoch, c.Position)
	case f.To.Sequence > c.Position.Sequence && f.After > c.Position.Sequence:
		return replication.Errorf(replication.PositionLost,
			"the rows begin after %d, this secondary is at %d: rows are missing", f.After, c.Position.Sequence)
	}
	return nil
}
