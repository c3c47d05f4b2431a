// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// owedKey has the keys that steps wrote while no journal ran. The next journal makes rows of them.
const owedKey = "replication/journal/owed"

// Step writes the rows of a change of role, past the guard: all or none, on every storage. Nothing else may write these
// rows, so that indexes and journal know of every replicated row. If an index or a journal runs, the rows pass it like
// any write. If none runs, the core is sealed: then the step also deletes the rows of stored indexes that count its
// keys, and records the keys for the next journal.
func (wp *writePath) Step(ctx context.Context, rows []onestep.Row) error {
	r := wp.enter()
	defer r.leave()
	if r.watching {
		return wp.commit(ctx, r, entriesOf(rows), txn.Options{OneStep: true})
	}
	changed, err := changing(ctx, wp.below, rows)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		beside, err := besideStep(ctx, wp.below, wp.counted, changed)
		if err != nil {
			return err
		}
		rows = append(slices.Clone(rows), beside...)
	}
	return onestep.Write(ctx, wp.below.Raw, rows)
}

func entriesOf(rows []onestep.Row) []*physical.TxnEntry {
	writes := make([]*physical.TxnEntry, len(rows))
	for i, row := range rows {
		writes[i] = &physical.TxnEntry{Operation: physical.PutOperation,
			Entry: &physical.Entry{Key: row.Key, Value: row.Value}}
		if row.Value == nil {
			writes[i].Operation = physical.DeleteOperation
		}
	}
	return writes
}

// changing are the keys of the rows that are not own and that differ from the storage.
func changing(ctx context.Context, from *backing.Storage, rows []onestep.Row) ([]string, error) {
	last := map[string][]byte{}
	for _, row := range rows {
		if from.Classes().Class(row.Key) != keyclass.Own {
			last[row.Key] = row.Value
		}
	}
	keys := slices.Sorted(maps.Keys(last))
	now, err := from.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
	if err != nil {
		return nil, failure.Storage("read what a change of role replaces", err)
	}
	var changed []string
	for i, key := range keys {
		if (now[i] == nil) != (last[key] == nil) || !bytes.Equal(now[i], last[key]) {
			changed = append(changed, key)
		}
	}
	return changed, nil
}

// besideStep are the additional rows of a step while the core is sealed.
func besideStep(ctx context.Context, from *backing.Storage, of counted, changed []string) ([]onestep.Row, error) {
	stale, err := of.StoredOf(ctx, changed)
	if err != nil {
		return nil, err
	}
	rows := make([]onestep.Row, 0, len(stale)+1)
	for _, row := range stale {
		rows = append(rows, onestep.Row{Key: row})
	}
	owed, err := owedKeys(ctx, from)
	if err != nil {
		return nil, err
	}
	owed = append(owed, changed...)
	slices.Sort(owed)
	b, err := json.Marshal(slices.Compact(owed))
	if err != nil {
		return nil, err
	}
	return append(rows, onestep.Row{Key: owedKey, Value: b}), nil
}

// owedKeys are the keys that steps wrote while no journal ran.
func owedKeys(ctx context.Context, from *backing.Storage) (keys []string, err error) {
	b, err := from.ReadFresh(ctx, owedKey)
	if err != nil {
		return nil, failure.Storage("read what the journal is owed", err)
	}
	if b == nil {
		return nil, nil
	}
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "what the journal is owed cannot be read: %w", err)
	}
	return keys, nil
}

// SettleOwed makes rows of the keys that steps wrote while no journal ran.
func (wp journaling) SettleOwed(ctx context.Context) error {
	keys, err := owedKeys(ctx, wp.below)
	if err != nil || len(keys) == 0 {
		return err
	}
	r := wp.enter()
	defer r.leave()
	keys = slices.DeleteFunc(keys, func(key string) bool { return !r.rows[wp.below.Classes().Class(key)] })
	if err := wp.journalKeys(ctx, r, keys); err != nil {
		return err
	}
	if err := wp.below.Inner.Delete(ctx, owedKey); err != nil {
		return failure.Storage("delete what the journal was owed", err)
	}
	return nil
}
