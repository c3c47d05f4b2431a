// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// records stores the head and the slots of the journal, and deletes its rows. turn is the turn to write records of
// slots.
type records struct {
	below *backing.Storage
	turn  lock.Turns
}

// head is the head of the journal as it is stored, an empty one if there is none.
func (r *records) head(ctx context.Context) (*journal.Head, error) {
	b, err := r.below.ReadFresh(ctx, journal.HeadKey)
	if err != nil {
		return nil, failure.Storage("read the head of the journal", err)
	}
	if b == nil {
		return &journal.Head{}, nil
	}
	head, err := journal.DecodeHead(b)
	if err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "the head of the journal cannot be read: %w", err)
	}
	return head, nil
}

func (r *records) putHead(ctx context.Context, head *journal.Head) error {
	b, err := head.Encode()
	if err != nil {
		return fmt.Errorf("encode the head of the journal: %w", err)
	}
	if err := r.below.Inner.Put(ctx, &physical.Entry{Key: journal.HeadKey, Value: b}); err != nil {
		return failure.Storage("write the head of the journal", err)
	}
	return nil
}

// eachSlot calls f with the stored name and the record of each slot of a mode.
func (r *records) eachSlot(ctx context.Context, mode replication.Mode, f func(name string, rec []byte) error) error {
	names, err := r.below.Inner.List(ctx, journal.SlotPrefix(mode))
	if err != nil {
		return failure.Storage("list the slots", err)
	}
	for _, name := range names {
		if len(journal.SlotPrefix(mode)+name) != len(journal.SlotKey(mode, "")) {
			continue // a file with some digits more, which stock Vault's way of writing file storage left after a kill
		}
		b, err := r.below.ReadFresh(ctx, journal.SlotPrefix(mode)+name)
		if err != nil {
			return failure.Storage("read a slot", err)
		}
		if b == nil {
			continue
		}
		if err := f(name, b); err != nil {
			return err
		}
	}
	return nil
}

// putSlot writes the record of a slot. The caller has the turn.
func (r *records) putSlot(ctx context.Context, mode replication.Mode, rec *journal.Slot) error {
	b, err := rec.Encode()
	if err != nil {
		return replication.Errorf(replication.Internal, "encode a slot: %w", err)
	}
	if err := r.below.Inner.Put(ctx, &physical.Entry{Key: journal.SlotKey(mode, rec.ID), Value: b}); err != nil {
		return failure.Storage("write a slot", err)
	}
	return nil
}

// deleteSlot deletes the record of a slot.
func (r *records) deleteSlot(ctx context.Context, mode replication.Mode, id string) error {
	if err := r.below.Inner.Delete(ctx, journal.SlotKey(mode, id)); err != nil {
		return failure.Storage("delete a slot", err)
	}
	return nil
}

func (r *records) deleteSlots(ctx context.Context, mode replication.Mode) error {
	done, err := r.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	names, err := r.below.Inner.List(ctx, journal.SlotPrefix(mode))
	if err != nil {
		return failure.Storage("list the slots", err)
	}
	for _, name := range names {
		if err := r.below.Inner.Delete(ctx, journal.SlotPrefix(mode)+name); err != nil {
			return failure.Storage("delete a slot", err)
		}
	}
	return nil
}

// deleteRun deletes the rows after from up to to.
func (r *records) deleteRun(ctx context.Context, terms []journal.TermStart, from, to uint64) error {
	keys := make([]string, 0, to-from)
	for n := from + 1; n <= to; n++ {
		keys = append(keys, journal.RowKey(journal.TermOf(terms, n), n))
	}
	if err := r.below.StoreSplit(ctx, txn.Deletes(keys)); err != nil {
		return failure.Storage("delete journal rows", err)
	}
	return nil
}
