// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// gathers says whether a write may share a transaction with others: it is small, and has no key that a secondary must
// take up before it goes on.
func (wp *writePath) gathers(writes []*physical.TxnEntry) bool {
	return wp.below.Txn != nil && len(writes) <= gatherEntries/8 && txn.SizeOf(writes) <= gatherBytes/8 &&
		!slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
			return e.Operation == physical.GetOperation || vaultname.IsKey(e.Entry.Key) || wp.alone(e.Entry.Key)
		})
}

// commitGathered makes a write like commitNumbered, perhaps together with others.
func (wp *writePath) commitGathered(ctx context.Context, r *writeMode, w *numbered) (keeps bool, err error) {
	m := &gathered{numbered: w, turn: make(chan turn, 1)}
	batch := r.gathering.enter(m)
	if batch == nil {
		var now turn
		select {
		case now = <-m.turn:
		case <-ctx.Done():
			if r.gathering.leave(m) {
				return false, ctx.Err()
			}
			now = <-m.turn // it is under way
		}
		if now.batch == nil {
			return now.keeps, now.err
		}
		batch = now.batch
	}
	return wp.commitBatch(ctx, r, batch)
}

// commitBatch makes the writes of a batch. The first write is the caller's. It hands the next batch to the first
// waiting write.
func (wp *writePath) commitBatch(ctx context.Context, r *writeMode, batch []*gathered) (keeps bool, err error) {
	// If the caller leaves, the others still want their writes.
	ctx = context.WithoutCancel(ctx)
	var joint turn
	joint.keeps, joint.err = wp.commitNumbered(ctx, r, join(batch))
	most, _ := wp.below.Limits()
	if next := r.gathering.next(min(gatherEntries, most-1)); next != nil {
		next[0].turn <- turn{batch: next}
	}
	if len(batch) > 1 && joint.err == nil {
		wp.together.writes.Add(uint64(len(batch)))
		wp.together.rows.Add(1)
	}
	// If the writes are too large together, the storage refused them and made none.
	alone := joint.err != nil && len(batch) > 1 && !joint.keeps && txn.TooLarge(joint.err)
	own := joint
	for i, m := range batch {
		result := joint
		if alone {
			result.keeps, result.err = wp.commitNumbered(ctx, r, m.numbered)
		}
		if i == 0 {
			own = result
		} else {
			m.turn <- result
		}
	}
	return own.keeps, own.err
}

// join joins the writes of a batch into one. It does not change their own effects.
func join(batch []*gathered) *numbered {
	if len(batch) == 1 {
		return batch[0].numbered
	}
	w := &numbered{store: batch[0].store, written: func() {
		for _, m := range batch {
			m.written()
		}
	}}
	for _, m := range batch {
		w.writes = append(w.writes, m.writes...)
		w.effects = append(w.effects, m.effects...)
		w.locks = append(w.locks, m.locks...)
	}
	return w
}
