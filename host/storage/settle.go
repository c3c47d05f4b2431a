// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"bytes"
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/shared/pause"
)

const (
	// settleTimeout bounds the first read of what a failed write did, while its caller waits.
	settleTimeout = 5 * time.Second
	// settleRetryMin and settleRetryMax bound the time between attempts afterwards.
	settleRetryMin, settleRetryMax = 20 * time.Millisecond, 2 * time.Second
	// rowRetry is the pause after a row could not be stored.
	rowRetry = time.Second
	// settledEvery is after how many writes the indexes forget what they keep of finished writes.
	settledEvery = 1024
)

// settle finds out what a failed write did, and finishes its number. The row gets the values of the storage, even if
// the write landed in part or not at all. It is false if the storage does not answer.
func (wp *writePath) settle(ctx context.Context, r *writeMode, n uint64, retain bool, effects effects) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := effects.readAfter(ctx, wp.below); err != nil {
		return false
	}
	r.account(effects, n)
	wp.finish(ctx, r, &journal.Row{Sequence: n, Term: r.journal.Term(), Ops: effects.ops()}, retain)
	return true
}

// settleLater tries to settle until the storage answers or the journal ends. The keys stay locked meanwhile: nobody can
// write them anyway, and after a later write nobody could say what this one did. The watermark waits.
func (wp *writePath) settleLater(r *writeMode, n uint64, retain bool, effects effects, written func(),
	locks lock.Held) {
	r.hold()
	wp.below.Logger.Warn("storage failed a write and does not answer; replication waits until it is known what became "+
		"of it",
		"sequence", n, "key", effects[0].key)
	go func() {
		defer r.leave()
		defer wp.below.Keys.Unlock(locks)
		defer written()
		retry := pause.Growing(settleRetryMin, settleRetryMax)
		for pause.For(r.journal.Lifetime(), retry.NextBackOff()) == nil {
			if wp.settle(r.journal.Lifetime(), r, n, retain, effects) {
				return
			}
		}
		r.invalidate()
	}()
}

// finish finishes a number whose write was settled. A retained row must be stored first: after a crash a row that was
// streamed but not stored would look like a lost history. Nothing is streamed meanwhile.
func (wp *writePath) finish(ctx context.Context, r *writeMode, row *journal.Row, retain bool) {
	j := r.journal
	row.Weigh()
	if !retain || storeRow(ctx, wp.below, row) == nil {
		j.Finish(row)
		return
	}
	r.hold()
	go func() {
		defer r.leave()
		for pause.For(j.Lifetime(), rowRetry) == nil {
			ctx, cancel := context.WithTimeout(j.Lifetime(), settleTimeout)
			err := storeRow(ctx, wp.below, row)
			cancel()
			if err == nil {
				j.Finish(row)
				return
			}
		}
	}()
}

// storeRow stores a row. It may replace a row that was stored before its write, if the write then did something else.
func storeRow(ctx context.Context, to *backing.Storage, row *journal.Row) error {
	key := journal.RowKey(row.Term, row.Sequence)
	value := journal.EncodeRow(row.Ops)
	have, err := to.ReadFresh(ctx, key)
	if err != nil || bytes.Equal(have, value) {
		return err
	}
	return to.Inner.Put(ctx, &physical.Entry{Key: key, Value: value})
}

// account finds out what a write outside of the journal did, and tells the indexes.
func (wp *writePath) account(ctx context.Context, r *writeMode, effects effects, failed error) {
	if len(r.indexes) == 0 {
		return
	}
	if failed != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		if err := effects.readAfter(ctx, wp.below); err != nil {
			r.invalidate()
			return
		}
	}
	r.account(effects, 0)
}

// account tells the indexes what a write did. number is its number in the journal, or 0. If the values before the write
// are unknown, the index is invalidated: after the write, because a scan that began before it might not list the keys
// that the write created.
func (r *writeMode) account(effects effects, number uint64) {
	for m, x := range r.indexes {
		for i := range effects {
			e := &effects[i]
			if !keyclass.InMode(e.class, m) {
				continue
			}
			if !e.knowsBefore {
				x.Invalidate()
				break
			}
			if e.before != nil && e.after != nil && bytes.Equal(e.before, e.after) {
				continue
			}
			if x.Sums().Replace(e.key, e.before, e.after, number) {
				x.Grown()
			}
		}
		if number > 0 && number%settledEvery == 0 {
			x.Sums().Settled(r.journal.Watermark())
		}
	}
}

func (r *writeMode) invalidate() {
	for _, x := range r.indexes {
		x.Invalidate()
	}
}

// invalidateStored invalidates the indexes, in memory and in storage.
func (r *writeMode) invalidateStored(ctx context.Context) error {
	r.invalidate()
	for _, x := range r.indexes {
		if err := x.InvalidateStored(ctx); err != nil {
			return err
		}
	}
	return nil
}
