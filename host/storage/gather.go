// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

const (
	// gatherEntries and gatherBytes bound a transaction of gathered writes, beside the limits
	// of the storage.
	gatherEntries = 64
	gatherBytes   = 128 << 10
	// gatherAtOnce is how many of them are under way: raft stores one in its log while it
	// applies the one before.
	gatherAtOnce = 2
)

// gathering joins the writes that come while others are being stored into one
// transaction with one row of the journal. Each row costs as much as a small write,
// and one for each write would cost the primary an eighth of its throughput. Nobody
// waits for company: a write that finds the storage idle goes by itself.
//
// The writes of one transaction were made at the same time, so no order between them
// is lost. It belongs to a write mode, whose writes are all treated alike.
type gathering struct {
	mu      sync.Mutex
	storing int
	waiting []*gathered
}

// numbered is a write that gets a number of the journal. Its keys are locked, and
// written is called before they are unlocked.
type numbered struct {
	writes  []*physical.TxnEntry
	effects effects
	store   func(context.Context, []*physical.TxnEntry) error
	written func()
	locks   lock.Held
}

// gathered is a write that waits for its turn.
type gathered struct {
	*numbered
	turn chan turn // gets one
}

// turn is the result of a write that another one has taken along, or those that this
// one has to store, itself first.
type turn struct {
	batch []*gathered
	keeps bool
	err   error
}

// gathers says whether a write may share a transaction with others: it is small and has
// none of the keys that a secondary takes up before what follows them.
func (wp *writePath) gathers(writes []*physical.TxnEntry) bool {
	return wp.below.Txn != nil && len(writes) <= gatherEntries/8 && txn.SizeOf(writes) <= gatherBytes/8 &&
		!slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
			return e.Operation == physical.GetOperation || vaultname.IsKey(e.Entry.Key) || wp.isAlone(e.Entry.Key)
		})
}

// commitGathered makes a write as commitNumbered does, perhaps together with others.
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

// commitBatch makes the writes of a batch, the first of which is the caller's, and gives
// the next batch to the first of those that wait.
func (wp *writePath) commitBatch(ctx context.Context, r *writeMode, batch []*gathered) (keeps bool, err error) {
	// The caller's end is not that of the others.
	ctx = context.WithoutCancel(ctx)
	var joint turn
	joint.keeps, joint.err = wp.commitNumbered(ctx, r, join(batch))
	most, _ := wp.below.Limits()
	if next := r.gathering.next(min(gatherEntries, most-1)); next != nil {
		next[0].turn <- turn{batch: next}
	}
	// What is too large together was refused and not made.
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

// join is the writes of a batch as one. Their own effects stay as they were.
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

// enter is the batch of a write that finds the storage idle; one that gets nil waits.
func (g *gathering) enter(m *gathered) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.storing < gatherAtOnce {
		g.storing++
		return []*gathered{m}
	}
	g.waiting = append(g.waiting, m)
	return nil
}

// leave takes a write back; false if its turn has come.
func (g *gathering) leave(m *gathered) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// next is the batch that follows one that has ended; nil if nobody waits.
func (g *gathering) next(most int) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, entries, bytes := 0, 0, 0
	for _, m := range g.waiting {
		entries, bytes = entries+len(m.writes), bytes+txn.SizeOf(m.writes)
		if n > 0 && (entries > most || bytes > gatherBytes) {
			break
		}
		n++
	}
	if n == 0 {
		g.storing--
		return nil
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}
