// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Level is how much of the core's writing a Guard refuses.
type Level int

// The levels of a guard.
const (
	// Open refuses nothing.
	Open Level = iota
	// ReadOnly refuses writes to keys that are replicated in the guard's modes
	// with logical.ErrReadOnly, and notes the refusal; deletions that keyclass
	// absorbs are dropped. In performance mode a key that is held is refused too:
	// if it is shared in the end, the write would be lost here.
	ReadOnly
	// Frozen refuses every write with ErrFrozen.
	Frozen
)

// Guard is what the core may write. Writes of the tap's own Apply and Commit
// methods pass every guard.
type Guard struct {
	Level Level
	// Modes are those in which the cluster is a secondary, for ReadOnly.
	Modes []replication.Mode
	// Absorb are keys whose writes and deletions by the core are dropped without an
	// error, for ReadOnly: what a core writes by itself while it starts, and a
	// secondary receives from its primary.
	Absorb []string
}

// ErrFrozen refuses writes while a role change is under way.
var ErrFrozen = errors.New("storage accepts no writes while the replication role of this cluster changes: try again " +
	"in a moment")

// Refusals count the writes that the guard has refused with logical.ErrReadOnly.
func (wp *writePath) Refusals() *refusal.Counters { return &wp.refusals }

// Guard is the present guard.
func (wp *writePath) Guard() Guard { return wp.writeMode.Load().guard }

// check says whether an operation is refused or to be dropped.
func (g *Guard) check(c *keyclass.Classifier, op physical.Operation, key string) (drop bool, err error) {
	switch g.Level {
	case Open:
		return false, nil
	case Frozen:
		return false, ErrFrozen
	case ReadOnly:
	}
	if slices.Contains(g.Absorb, key) {
		return true, nil
	}
	class := c.Class(key)
	for _, m := range g.Modes {
		held := m == replication.Performance && class == keyclass.Unknown && keyclass.InView(key)
		if held || keyclass.InMode(class, m) {
			if op == physical.DeleteOperation && keyclass.IsAbsorbed(key) {
				return true, nil
			}
			return false, logical.ErrReadOnly
		}
	}
	return false, nil
}

// guarded says whether an operation of the core is refused or to be dropped, and
// notes a refusal for who runs the request.
func (b *backend) guarded(ctx context.Context, g *Guard, op physical.Operation, key string) (drop bool, err error) {
	if g.Level == Open {
		return false, nil
	}
	drop, err = g.check(b.t.below.Classes(), op, key)
	if errors.Is(err, logical.ErrReadOnly) {
		refusal.Note(ctx)
		b.t.refusals.Bump(key)
	}
	return drop, err
}

// guardedTxn refuses a whole transaction or returns it without dropped operations.
func (b *backend) guardedTxn(ctx context.Context, g *Guard, writes []*physical.TxnEntry) ([]*physical.TxnEntry, error) {
	if g.Level == Open {
		return writes, nil
	}
	kept := make([]*physical.TxnEntry, 0, len(writes))
	for _, e := range writes {
		if e.Operation != physical.GetOperation {
			drop, err := b.guarded(ctx, g, e.Operation, e.Entry.Key)
			if err != nil {
				return nil, err
			}
			if drop {
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept, nil
}
