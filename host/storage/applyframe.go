// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ApplyFrame applies the rows of a frame in order; see [replication.Host]. Each
// transaction has whole rows and the cursor at the last of them, so that a
// crash leaves a state that the primary had. The proof of the frame is what the primary's
// host has given with its end.
func (s *secondary) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	if f == nil || f.To.Sequence < f.After {
		return nil, replication.Errorf(replication.InvalidInput, "the frame ends before it begins")
	}
	rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
	if err != nil {
		return nil, malformed(err)
	}
	for i := range rows {
		if err := s.checkKeys(rows[i].Ops); err != nil {
			return nil, err
		}
	}
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch {
	case c.Copying:
		return nil, replication.Errorf(replication.InvalidInput, "rows cannot be applied while a copy is under way")
	case c.MustCopy:
		return nil, replication.Errorf(replication.PositionLost,
			"what this secondary may have was widened, so it has to compare and copy before it goes on")
	case c.Position.Epoch.IsZero() || c.Position.Epoch != f.To.Epoch:
		return nil, replication.Errorf(replication.PositionLost,
			"the rows are of the epoch %s, this secondary is at %s: it has to compare and copy", f.To.Epoch, c.Position)
	case f.To.Sequence <= c.Position.Sequence:
		return c.Contract(), nil
	case f.After > c.Position.Sequence:
		return nil, replication.Errorf(replication.PositionLost,
			"the rows begin after %d, this secondary is at %d: rows are missing", f.After, c.Position.Sequence)
	}

	a, err := s.readLacking(ctx, c)
	if err != nil {
		return nil, err
	}
	s.forced.Store(false)
	next := *c
	next.ConsistentFrom = max(c.ConsistentFrom, f.ConsistentFrom)
	l := s.newLoad()
	flush := func(sequence uint64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		ctx, cancel := s.detached(ctx)
		defer cancel()
		at := f.To
		at.Sequence = sequence
		next.Position = at
		if at == f.To {
			next.Given = f.Proof
		}
		err := s.write(ctx, l, &next, a, commitOptions{})
		reached := next
		s.stored(&reached, err)
		if err != nil {
			return err
		}
		next.MustCopy = next.MustCopy || s.forced.Load()
		l = s.newLoad()
		if next.MustCopy {
			return nil
		}
		return s.verified(ctx, &next)
	}
	alone := false // the load has a row that none may join
	at := c.Position.Sequence
	for i := range rows {
		row := &rows[i]
		if row.Sequence <= c.Position.Sequence {
			continue
		}
		// The content is compared at exactly the position of which it is known.
		if n := s.verifier.expects(f.To.Epoch, at, row.Sequence); n > next.Position.Sequence {
			if err := flush(n); err != nil {
				return nil, err
			}
		}
		was := alone
		alone = s.isAlone(row.Ops)
		if !l.takes(row.Ops) || (l.entries > 0 && (alone || was)) {
			if err := flush(at); err != nil {
				return nil, err
			}
		}
		l.add(row.Ops)
		at = row.Sequence
	}
	if err := flush(f.To.Sequence); err != nil {
		return nil, err
	}
	return next.Contract(), nil
}
