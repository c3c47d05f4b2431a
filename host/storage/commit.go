// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

type commitOptions struct {
	// skipEqual leaves out writes that would change nothing.
	skipEqual bool
	// writes is called with what is about to be written, without what skipEqual leaves
	// out, whether or not the storage then makes the writes. nil for none.
	writes func([]*physical.TxnEntry)
	// oneStep makes all of the writes or none, on storage without transactions too.
	oneStep bool
}

// effect is what a write does to one watched key.
type effect struct {
	key           string
	class         keyclass.Class
	before, after []byte // nil: does not exist
	knowsBefore   bool
}

// Commit writes a batch, past the guard, in one transaction where the storage
// has transactions and it fits their limits by itself; otherwise key by key in
// the batch's order. Writes to replicated keys are journalled as any other.
func (wp *writePath) Commit(ctx context.Context, b *Batch) error {
	r := wp.enter()
	defer r.leave()
	return wp.commit(ctx, r, b.Entries(), commitOptions{})
}

// commit makes the writes of one transaction: it serialises them with others of
// the same keys, gives them a number and a row in the journal, and keeps the
// fingerprints right. The caller has entered r.
func (wp *writePath) commit(ctx context.Context, r *regime, txn []*physical.TxnEntry, o commitOptions) error {
	if err := wp.counted.beheadUnwatched(ctx, r, txn); err != nil {
		return err
	}
	store := wp.store
	if o.oneStep {
		store = wp.storeOneStep
	}
	effects := wp.effectsOf(r, txn)
	if len(effects) == 0 && !o.skipEqual && wp.txn != nil {
		if o.writes != nil {
			o.writes(txn)
		}
		return store(ctx, txn)
	}
	keys := make([]string, 0, len(txn))
	for _, e := range txn {
		// Without transactions every key is locked, own ones too: a walk of file
		// storage relies on it, see readAt.
		if e.Operation != physical.GetOperation {
			keys = append(keys, e.Entry.Key)
		}
	}
	locks, err := wp.stripes.lock(ctx, keys...)
	if err != nil {
		return err
	}
	keeps := false
	defer func() {
		if !keeps {
			wp.stripes.unlock(locks)
		}
	}()
	keeps, err = wp.commitLocked(ctx, r, &numbered{txn: txn, effects: effects, store: store, locks: locks}, o)
	return err
}

// commitLocked is the part of a commit for which the keys are locked. It keeps the locks
// if it is not known yet what became of a write.
func (wp *writePath) commitLocked(ctx context.Context, r *regime, w *numbered, o commitOptions) (keeps bool, err error) {
	txn, effects := w.txn, w.effects
	var before map[string][]byte
	if o.skipEqual {
		if txn, before, err = wp.withoutEqual(ctx, txn); err != nil || len(txn) == 0 {
			return false, err
		}
		effects = wp.effectsOf(r, txn)
	}
	if o.writes != nil {
		o.writes(txn)
	}
	if len(effects) == 0 {
		return false, w.store(ctx, txn)
	}
	stale, written := r.writing(effects)
	defer func() {
		if !keeps {
			written()
		}
	}()
	if len(r.prints) > 0 {
		wp.readBefore(ctx, effects, before)
	}
	txn, deleted, err := wp.withStale(ctx, txn, stale)
	if err != nil {
		return false, err
	}
	if r.journal == nil || !r.journals(effects) {
		if err = w.store(ctx, txn); err == nil {
			deleted()
		}
		wp.account(ctx, r, effects, err)
		return false, err
	}

	w.txn, w.effects, w.written = txn, effects, written
	commit := wp.commitNumbered
	if !o.skipEqual && !o.oneStep && wp.gathers(txn) {
		commit = wp.commitGathered
	}
	if keeps, err = commit(ctx, r, w); err == nil {
		deleted()
	}
	return keeps, err
}

// commitNumbered stores a write with its row. It keeps the locks, and with them the
// call of written, while it is not known what became of a write that failed.
func (wp *writePath) commitNumbered(ctx context.Context, r *regime, w *numbered) (keeps bool, err error) {
	n, retain, err := r.journal.allocate(ctx)
	if err != nil {
		return false, err
	}
	ops := opsOf(w.effects)
	if err = wp.storeWithRow(ctx, r.journal, n, retain, ops, w); err != nil {
		// The storage may have done it all the same. What it has now decides.
		if wp.settle(ctx, r, n, retain, w.effects) {
			return false, err
		}
		wp.settleLater(r, n, retain, w.effects, w.written, w.locks)
		return true, err
	}
	r.account(w.effects, n)
	row := &journal.Row{Sequence: n, Term: r.journal.term, Ops: ops}
	row.Weigh()
	r.journal.seq.Finish(n, row)
	return false, nil
}

// effectsOf are the effects on keys that the regime watches, one for a key.
func (wp *writePath) effectsOf(r *regime, txn []*physical.TxnEntry) []effect {
	var effects []effect
	if len(txn) == 1 {
		effects = make([]effect, 0, 1)
	}
	var index map[string]int
	for _, e := range txn {
		if e.Operation == physical.GetOperation {
			continue
		}
		class := wp.classes.Class(e.Entry.Key)
		if class == keyclass.Unknown && r.watching {
			if keyclass.InView(e.Entry.Key) {
				wp.held.note(e.Entry.Key, e.Operation == physical.DeleteOperation)
			} else {
				if wp.unknown.Add(1) == 1 {
					wp.logger.Warn("a key was written that this version of replication has no class for; such keys go to DR secondaries alone; "+
						"the status field unclassified_keys counts them", "key", e.Entry.Key)
				}
			}
		}
		if !r.watched[class] {
			continue
		}
		var after []byte
		if e.Operation == physical.PutOperation {
			if after = e.Entry.Value; after == nil {
				after = []byte{} // nil would mean a deletion
			}
		}
		if len(txn) > 1 {
			if index == nil {
				index = make(map[string]int, len(txn))
			}
			if i, ok := index[e.Entry.Key]; ok {
				effects[i].after = after
				continue
			}
			index[e.Entry.Key] = len(effects)
		}
		effects = append(effects, effect{key: e.Entry.Key, class: class, after: after})
	}
	return effects
}

// journals says whether any effect is on a key of a mode that is journalled.
func (r *regime) journals(effects []effect) bool {
	for i := range effects {
		for m := range r.modes {
			if keyclass.InMode(effects[i].class, m) {
				return true
			}
		}
	}
	return false
}

func opsOf(effects []effect) []journal.Op {
	ops := make([]journal.Op, len(effects))
	for i := range effects {
		e := &effects[i]
		ops[i] = journal.Op{Kind: journal.Put, Class: e.class, Key: e.key, Value: e.after}
		if e.after == nil {
			ops[i].Kind = journal.Delete
		}
	}
	return ops
}

// withoutEqual leaves out what the storage has already, and returns what it has
// of the rest, nil for a key that does not exist.
func (wp *writePath) withoutEqual(ctx context.Context, txn []*physical.TxnEntry) ([]*physical.TxnEntry, map[string][]byte, error) {
	keys := make([]string, len(txn))
	for i, e := range txn {
		keys[i] = e.Entry.Key
	}
	// Past the cache: what is equal in it alone would not be written.
	values, err := wp.getAll(physical.CacheRefreshContext(ctx, true), keys)
	if err != nil {
		return nil, nil, err
	}
	kept := make([]*physical.TxnEntry, 0, len(txn))
	before := make(map[string][]byte, len(txn))
	for i, e := range txn {
		now := values[i]
		switch e.Operation {
		case physical.PutOperation:
			if now != nil && bytes.Equal(now, e.Entry.Value) {
				continue
			}
		case physical.DeleteOperation:
			if now == nil {
				continue
			}
		}
		kept = append(kept, e)
		before[e.Entry.Key] = now
	}
	return kept, before, nil
}

// store makes the writes without a row.
func (b *backing) store(ctx context.Context, txn []*physical.TxnEntry) error {
	switch len(txn) {
	case 0:
		return nil
	case 1:
		e := txn[0]
		switch e.Operation {
		case physical.PutOperation:
			return b.inner.Put(ctx, e.Entry)
		case physical.DeleteOperation:
			return b.inner.Delete(ctx, e.Entry.Key)
		}
	}
	if b.txn != nil {
		return b.txn.Transaction(ctx, txn)
	}
	if slices.ContainsFunc(txn, func(e *physical.TxnEntry) bool { return vaultname.IsKey(e.Entry.Key) }) {
		// New keys of a primary come with the stored keys that open them: one
		// without the other would lock the cluster out.
		step, rest := stepOf(txn)
		if err := onestep.Write(ctx, b.raw, step); err != nil {
			return err
		}
		txn = rest
	}
	for _, e := range txn {
		if err := b.store(ctx, []*physical.TxnEntry{e}); err != nil {
			return err
		}
	}
	return nil
}

// storeOneStep makes all of the writes or none.
func (b *backing) storeOneStep(ctx context.Context, txn []*physical.TxnEntry) error {
	step, rest := stepOf(txn)
	if len(rest) > 0 {
		return fmt.Errorf("%s is no part of a change of role: nothing was written", rest[0].Entry.Key)
	}
	return onestep.Write(ctx, b.raw, step)
}

// stepOf are the rows that are written in one step with keys, and the other writes.
func stepOf(txn []*physical.TxnEntry) (rows []onestep.Row, rest []*physical.TxnEntry) {
	for _, e := range txn {
		switch {
		case e.Operation == physical.GetOperation || !onestep.Allowed(e.Entry.Key):
			rest = append(rest, e)
		case e.Operation == physical.PutOperation:
			rows = append(rows, onestep.Row{Key: e.Entry.Key, Value: e.Entry.Value})
		default:
			rows = append(rows, onestep.Row{Key: e.Entry.Key})
		}
	}
	return rows, rest
}

// storeWithRow makes the writes, with the row in the same transaction where that
// is possible and ahead of them otherwise. A row whose writes failed does no
// harm: readers take the current values of its keys.
func (wp *writePath) storeWithRow(ctx context.Context, j *activeJournal, n uint64, retain bool, ops []journal.Op, w *numbered) error {
	txn := w.txn
	if !retain {
		return w.store(ctx, txn)
	}
	row := &physical.Entry{Key: journal.RowKey(j.term, n), Value: journal.EncodeRow(ops)}
	if wp.txn != nil && wp.fits(txn, row) {
		joint := make([]*physical.TxnEntry, 0, len(txn)+1)
		joint = append(joint, txn...)
		joint = append(joint, &physical.TxnEntry{Operation: physical.PutOperation, Entry: row})
		err := wp.txn.Transaction(ctx, joint)
		if err == nil || !tooLarge(err) {
			// An error may come after it was stored; then it is counted and there.
			j.stored(len(row.Key) + len(row.Value))
			return err
		}
	}
	j.stored(len(row.Key) + len(row.Value))
	if err := wp.inner.Put(ctx, row); err != nil {
		return err
	}
	return w.store(ctx, txn)
}

// fits says whether entries, and one more unless it is nil, fit into a transaction. Keys
// count twice, as storage that encodes transactions does.
func (b *backing) fits(txn []*physical.TxnEntry, more *physical.Entry) bool {
	entries, size := b.applyLimits()
	count, n := len(txn), 0
	if more != nil {
		count, n = count+1, entrySize(more)
	}
	for _, e := range txn {
		n += entrySize(e.Entry)
	}
	return count <= entries && n <= size
}

func entrySize(e *physical.Entry) int { return 2*len(e.Key) + len(e.Value) }

// tooLarge recognises the refusal of a transaction for its size, which is only
// a text: the SDK has no error value for it.
func tooLarge(err error) bool {
	return strings.Contains(err.Error(), physical.ErrValueTooLarge) || strings.Contains(err.Error(), physical.ErrKeyTooLarge)
}
