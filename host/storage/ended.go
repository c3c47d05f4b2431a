// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forget deletes what a mode that has ended has left: its slots, for which rows would
// be retained, and its index, which would cost each write a hash. The host calls it at
// the start of each leadership for a mode in which the cluster has no role, so that one
// that was cut is made up for.
func (p *primary) Forget(ctx context.Context, mode replication.Mode) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	p.control.Lock()
	defer p.control.Unlock()
	r := p.writeMode.Load()
	if _, ok := r.modes[mode]; ok {
		return replication.Errorf(replication.InvalidInput, "this cluster is a %s primary, so nothing of that is forgotten",
			mode)
	}
	if r.journal != nil {
		r.journal.endMode(mode)
	}
	if err := p.indexes.Stop(ctx, mode, false); err != nil {
		return err
	}
	if err := p.deleteSlots(ctx, mode); err != nil {
		return err
	}
	return p.indexes.Forget(ctx, mode)
}

// endMode takes the slots of a mode out of memory.
func (r *retention) endMode(mode replication.Mode) {
	r.mu.Lock()
	delete(r.slots, mode)
	delete(r.lacking, mode)
	r.idle()
	r.mu.Unlock()
	r.wake()
}

func (p *primary) deleteSlots(ctx context.Context, mode replication.Mode) error {
	done, err := p.slotRecords.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	names, err := p.below.Inner.List(ctx, journal.SlotPrefix(mode))
	if err != nil {
		return failure.Storage("list the slots", err)
	}
	for _, name := range names {
		if err := p.below.Inner.Delete(ctx, journal.SlotPrefix(mode)+name); err != nil {
			return failure.Storage("delete a slot", err)
		}
	}
	return nil
}
