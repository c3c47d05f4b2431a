// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// effects are the effects of one write, one for each key.
type effects []effect

// effect is what a write does to one watched key.
type effect struct {
	key           string
	class         keyclass.Class
	before, after []byte // nil: does not exist
	knowsBefore   bool
}

// effectsOf are the effects on the keys that the write mode watches, one for each key.
func (wp *writePath) effectsOf(r *writeMode, writes []*physical.TxnEntry) (all effects) {
	if len(writes) == 1 {
		all = make(effects, 0, 1)
	}
	var index map[string]int
	for _, e := range writes {
		if e.Operation == physical.GetOperation {
			continue
		}
		class := wp.below.Classes().Class(e.Entry.Key)
		if class == keyclass.Unknown && r.watching {
			if keyclass.InView(e.Entry.Key) {
				wp.held.Note(e.Entry.Key, e.Operation == physical.DeleteOperation)
			} else if wp.unknown.Add(1) == 1 {
				wp.below.Logger.Warn("a key was written that this version of replication has no class for; such keys go to DR "+
					"secondaries alone; "+
					"the status field unclassified_keys counts them", "key", e.Entry.Key)
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
		if len(writes) > 1 {
			if index == nil {
				index = make(map[string]int, len(writes))
			}
			if i, ok := index[e.Entry.Key]; ok {
				all[i].after = after
				continue
			}
			index[e.Entry.Key] = len(all)
		}
		all = append(all, effect{key: e.Entry.Key, class: class, after: after})
	}
	return all
}

func (effects effects) ops() []journal.Op {
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

// readAfter replaces the intended values by those of the storage. It reads past the cache, which still has the old
// value after a failed write. On storage that orders writes the failed one has landed before the next, or never will.
func (effects effects) readAfter(ctx context.Context, from *backing.Storage) error {
	if from.Fences() {
		if err := from.Order(ctx); err != nil {
			return err
		}
	}
	ctx = physical.CacheRefreshContext(ctx, true)
	keys := make([]string, len(effects))
	for i := range effects {
		keys[i] = effects[i].key
	}
	values, err := from.ReadAll(ctx, keys)
	if err != nil {
		return err
	}
	for i := range effects {
		effects[i].after = values[i]
	}
	return nil
}

// readBefore notes the values before a write, for the indexes. known are the values that the caller has read already
// under the locks, nil for none. If a read fails, the write goes on, and account invalidates the indexes.
func (effects effects) readBefore(ctx context.Context, from *backing.Storage, known map[string][]byte) {
	var keys []string
	for i := range effects {
		e := &effects[i]
		if e.before, e.knowsBefore = known[e.key]; !e.knowsBefore {
			keys = append(keys, e.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	values, err := from.ReadAll(ctx, keys)
	if err != nil {
		return
	}
	for i, next := 0, 0; i < len(effects); i++ {
		if e := &effects[i]; !e.knowsBefore {
			e.before, e.knowsBefore = values[next], true
			next++
		}
	}
}
