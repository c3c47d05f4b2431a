// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"bytes"
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/station"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Commit writes a batch, past the guard: in one transaction if the storage has transactions and the batch fits their
// limits, otherwise key by key in the batch's order. Writes of replicated keys are journalled like all others.
func (wp *writePath) Commit(ctx context.Context, b *txn.Batch) error {
	r := wp.enter()
	defer r.leave()
	return wp.commit(ctx, r, b.Entries(), txn.Options{})
}

// commit makes the writes of one transaction: it orders them with other writes of the same keys, gives them a number
// and a row in the journal, and tells the indexes. The caller has entered r.
func (wp *writePath) commit(ctx context.Context, r *writeMode, writes []*physical.TxnEntry, o txn.Options) error {
	if err := wp.counted.InvalidateUntold(ctx, writes, r.indexes); err != nil {
		return err
	}
	store := wp.below.Store
	if o.OneStep {
		store = wp.below.StoreOneStep
	}
	effects := wp.effectsOf(r, writes)
	if len(effects) == 0 && !o.SkipEqual && wp.below.Txn != nil {
		if o.About != nil {
			o.About(writes)
		}
		return store(ctx, writes)
	}
	keys := make([]string, 0, len(writes))
	for _, e := range writes {
		// Without transactions every key is locked, also own ones, so that the writes of one key follow each other.
		if e.Operation != physical.GetOperation {
			keys = append(keys, e.Entry.Key)
		}
	}
	locks, err := wp.below.Keys.Lock(ctx, keys...)
	if err != nil {
		return err
	}
	keeps := false
	defer func() {
		if !keeps {
			wp.below.Keys.Unlock(locks)
		}
	}()
	keeps, err = wp.commitLocked(ctx, r, &numbered{writes: writes, effects: effects, store: store, locks: locks}, o)
	return err
}

// commitLocked is the part of a commit under the locks of the keys. It keeps the locks if it does not know yet whether
// a failed write landed.
func (wp *writePath) commitLocked(ctx context.Context, r *writeMode, w *numbered, o txn.Options) (keeps bool,
	err error) {
	writes, effects := w.writes, w.effects
	var before map[string][]byte
	if o.SkipEqual {
		if writes, before, err = withoutEqual(ctx, wp.below, writes, o.Absent); err != nil || len(writes) == 0 {
			return false, err
		}
		effects = wp.effectsOf(r, writes)
	}
	if o.About != nil {
		o.About(writes)
	}
	if len(effects) == 0 {
		return false, w.store(ctx, writes)
	}
	stale, written := r.writing(effects)
	defer func() {
		if !keeps {
			written()
		}
	}()
	if len(r.indexes) > 0 {
		effects.readBefore(ctx, wp.below, before)
	}
	writes, deleted, err := wp.withStale(ctx, writes, stale)
	if err != nil {
		return false, err
	}
	if r.journal == nil || !r.journals(effects) {
		if err = w.store(ctx, writes); err == nil {
			deleted()
		}
		wp.account(ctx, r, effects, err)
		return false, err
	}

	w.writes, w.effects, w.written = writes, effects, written
	commit := wp.commitNumbered
	if !o.SkipEqual && !o.OneStep && wp.gathers(writes) {
		commit = wp.commitGathered
	}
	if keeps, err = commit(ctx, r, w); err == nil {
		deleted()
	}
	return keeps, err
}

// commitNumbered stores a write with its row. If it does not know yet whether a failed write landed, it keeps the locks
// and does not call written.
func (wp *writePath) commitNumbered(ctx context.Context, r *writeMode, w *numbered) (keeps bool, err error) {
	n, retain, err := r.journal.Allocate(ctx)
	if err != nil {
		return false, err
	}
	station.Log(wp.below.Logger, station.Numbered, n)
	ops := w.effects.ops()
	if err = wp.storeWithRow(ctx, r.journal, n, retain, ops, w); err != nil {
		// The write may have landed all the same. The storage's content decides.
		if wp.settle(ctx, r, n, retain, w.effects) {
			return false, err
		}
		wp.settleLater(r, n, retain, w.effects, w.written, w.locks)
		return true, err
	}
	station.Log(wp.below.Logger, station.Stored, n)
	r.account(w.effects, n)
	row := &journal.Row{Sequence: n, Term: r.journal.Term(), Ops: ops}
	row.Weigh()
	r.journal.Finish(row)
	return false, nil
}

// journalKeys makes rows of keys with their present values, in r's journal. The caller has entered r.
func (wp *writePath) journalKeys(ctx context.Context, r *writeMode, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	locks, err := wp.below.Keys.Lock(ctx, wanted...)
	if err != nil {
		return err
	}
	defer wp.below.Keys.Unlock(locks)
	values, err := wp.below.ReadAll(physical.CacheRefreshContext(ctx, true), wanted)
	if err != nil {
		return failure.Storage("read keys that are journalled again", err)
	}
	var ops []journal.Op
	size := 0
	for i, key := range wanted {
		op := journal.Op{Kind: journal.Put, Class: wp.below.Classes().Class(key), Key: key, Value: values[i]}
		if op.Value == nil {
			op.Kind = journal.Delete
		}
		ops = append(ops, op)
		if size += len(key) + len(op.Value); size >= replication.PayloadTarget || i == len(wanted)-1 {
			if err := wp.rowAlone(ctx, r, ops); err != nil {
				return err
			}
			ops, size = nil, 0
		}
	}
	return nil
}

// rowAlone journals a row whose writes were made before. The caller has locked its
// keys.
func (wp *writePath) rowAlone(ctx context.Context, r *writeMode, ops []journal.Op) error {
	n, retain, err := r.journal.Allocate(ctx)
	if err != nil {
		return err
	}
	if retain {
		row := &physical.Entry{Key: journal.RowKey(r.journal.Term(), n), Value: journal.EncodeRow(ops)}
		r.journal.Stored(len(row.Key) + len(row.Value))
		err = wp.below.Inner.Put(ctx, row)
	}
	row := &journal.Row{Sequence: n, Term: r.journal.Term(), Ops: ops}
	if err != nil {
		wp.finish(ctx, r, row, retain)
		return failure.Storage("write a journal row", err)
	}
	row.Weigh()
	r.journal.Finish(row)
	return nil
}

// journals says whether any effect is on a key that is journalled.
func (r *writeMode) journals(effects effects) bool {
	for i := range effects {
		if r.rows[effects[i].class] {
			return true
		}
	}
	return false
}

// withoutEqual drops writes that would change nothing. It also returns the present values of the other keys, nil for a
// key that does not exist. It does not read keys that are known to be absent.
func withoutEqual(ctx context.Context, from *backing.Storage, writes []*physical.TxnEntry,
	absent func(key string) bool) ([]*physical.TxnEntry, map[string][]byte, error) {
	var keys []string
	for _, e := range writes {
		if absent == nil || !absent(e.Entry.Key) {
			keys = append(keys, e.Entry.Key)
		}
	}
	// Read past the cache: a value that is equal only in the cache must be written.
	values, err := from.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
	if err != nil {
		return nil, nil, err
	}
	kept := make([]*physical.TxnEntry, 0, len(writes))
	before := make(map[string][]byte, len(writes))
	read := 0
	for _, e := range writes {
		var now []byte
		if read < len(keys) && keys[read] == e.Entry.Key {
			now = values[read]
			read++
		}
		if e.Operation == physical.PutOperation && now != nil && bytes.Equal(now, e.Entry.Value) ||
			e.Operation == physical.DeleteOperation && now == nil {
			continue
		}
		kept = append(kept, e)
		before[e.Entry.Key] = now
	}
	return kept, before, nil
}

// storeWithRow makes the writes, with the row in the same transaction if possible, otherwise after the row. A row whose
// writes failed does no harm: readers take the present values of its keys.
func (wp *writePath) storeWithRow(ctx context.Context, j activeJournal, n uint64, retain bool, ops []journal.Op,
	w *numbered) error {
	writes := w.writes
	if !retain {
		return w.store(ctx, writes)
	}
	row := &physical.Entry{Key: journal.RowKey(j.Term(), n), Value: journal.EncodeRow(ops)}
	if wp.below.Txn != nil && wp.below.Fits(writes, row) {
		err := wp.below.Txn.Transaction(ctx, append(slices.Clip(writes), txn.Put(row)))
		if err == nil || !txn.TooLarge(err) {
			// After an error the row may be stored all the same, so it is counted.
			j.Stored(len(row.Key) + len(row.Value))
			return err
		}
	}
	j.Stored(len(row.Key) + len(row.Value))
	if err := wp.below.Inner.Put(ctx, row); err != nil {
		return err
	}
	return w.store(ctx, writes)
}
