// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Cursor is how far this cluster, a secondary, has applied a mode.
func (s *applier) Cursor(ctx context.Context) (*replication.Cursor, error) {
	c, err := s.readCursor(ctx)
	if err != nil {
		return nil, err
	}
	return c.Contract(), nil
}

// BeginCopy records that a full copy begins; see [replication.Host]. The cursor keeps the mark that the primary's host
// gave with the position.
func (s *Secondary) BeginCopy(ctx context.Context, from replication.Position, given replication.Proof) error {
	if from.Epoch.IsZero() {
		return replication.Errorf(replication.InvalidInput, "a copy cannot begin at a position without an epoch")
	}
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s.applies.Close()
	return s.moveCursor(ctx, &journal.Cursor{Position: c.Position, Copying: true, CopyFrom: from, Given: given})
}

// ForceCopy makes ApplyFrame answer PositionLost until a copy begins, also after a restart: rows alone cannot bring the
// keys that the primary left out until now. A copy that is under way is not enough, because ranges that it has applied
// may lack keys. A secondary without content copies anyway. ForceCopy waits for the apply under way, so
// Observer.Applied must call ForceCopyApplied instead.
func (s *Secondary) ForceCopy(ctx context.Context) error {
	unlock, err := s.lockApply(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.readCursor(ctx)
	if err != nil {
		return err
	}
	if c.MustCopy || (c.Position.Epoch.IsZero() && !c.Copying) {
		return nil
	}
	c.MustCopy = true
	return s.writeCursor(ctx, c)
}

// ForceCopyApplied is ForceCopy for Observer.Applied. The apply that called Observer.Applied holds the lock, and keeps
// the mark in the cursors that it writes.
func (s *Secondary) ForceCopyApplied(ctx context.Context) error {
	c, err := s.readCursor(ctx)
	if err != nil {
		return err
	}
	c.MustCopy = true
	if err := s.writeCursor(ctx, c); err != nil {
		return err
	}
	s.forced.Store(true)
	return nil
}

// MustCopy says whether ForceCopy was called and no copy has begun since.
func (s *Secondary) MustCopy(ctx context.Context) (bool, error) {
	c, err := s.readCursor(ctx)
	if err != nil {
		return false, err
	}
	return c.MustCopy && !c.Copying, nil
}

// EndCopy records that the last range was applied; see [replication.Host].
func (s *Secondary) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !c.Copying || !c.CopiedAll {
		return nil, replication.Errorf(replication.InvalidInput, "the copy cannot end: its last range was not applied")
	}
	n := &journal.Cursor{Position: c.CopyFrom, ConsistentFrom: max(c.CopyFrom.Sequence, c.CopyAsOf), MustCopy: c.MustCopy,
		Missing: c.Missing, Given: c.Given}
	if err := s.moveCursor(ctx, n); err != nil {
		return nil, err
	}
	s.applies.Close()
	if x := s.index(); x != nil {
		x.Grown()
	}
	return n.Contract(), nil
}

// CursorAt is the storage row of a consistent cursor at a position. A demoted primary has the content of its own last
// position; the host writes this row with the role.
func CursorAt(mode replication.Mode, at replication.Position) (*physical.Entry, error) {
	return cursorEntry(mode, &journal.Cursor{Position: at, ConsistentFrom: at.Sequence})
}

// lockApply lets one apply of a mode be under way.
func (d *debt) lockApply(ctx context.Context) (unlock func(), err error) {
	unlock, err = d.applying.Take(ctx)
	if err == nil && ctx.Err() != nil {
		unlock()
		return nil, ctx.Err()
	}
	return unlock, err
}

// readCursor reads the record, an empty one if there is none.
func (d *debt) readCursor(ctx context.Context) (*journal.Cursor, error) {
	return ReadCursor(ctx, d.below, d.mode)
}

// ReadCursor is how far a cluster has applied a mode, even if it applies no longer.
func ReadCursor(ctx context.Context, from *backing.Storage, mode replication.Mode) (*journal.Cursor, error) {
	b, err := from.ReadFresh(ctx, journal.CursorKey(mode))
	if err != nil {
		return nil, failure.Storage("read the cursor", err)
	}
	if b == nil {
		return &journal.Cursor{}, nil
	}
	c, err := journal.DecodeCursor(b)
	if err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "the cursor of %s replication cannot be read: %w", mode,
			err)
	}
	return c, nil
}

// moveCursor writes the cursor of BeginCopy and EndCopy, which comes without content.
func (s *applier) moveCursor(ctx context.Context, to *journal.Cursor) error {
	ctx, cancel := s.detached(ctx)
	defer cancel()
	err := s.writeCursor(ctx, to)
	s.stored(to, err)
	return err
}

func (d *debt) writeCursor(ctx context.Context, c *journal.Cursor) error {
	e, err := cursorEntry(d.mode, c)
	if err != nil {
		return err
	}
	// The cursor of performance mode goes to DR secondaries, as any local key.
	b := &txn.Batch{}
	b.Put(e)
	if err := d.writes.Commit(ctx, b); err != nil {
		return failure.Storage("write the cursor", err)
	}
	return nil
}

func cursorEntry(mode replication.Mode, c *journal.Cursor) (*physical.Entry, error) {
	b, err := c.Encode()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encode the cursor: %w", err)
	}
	return &physical.Entry{Key: journal.CursorKey(mode), Value: b}, nil
}
