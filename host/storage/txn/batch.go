// SPDX-License-Identifier: MPL-2.0

package txn

import (
	"sync"

	"github.com/hashicorp/vault/sdk/physical"
)

// Batch is a set of writes, at most one for a key. Safe for concurrent use; its
// zero value is empty.
type Batch struct {
	mu    sync.Mutex
	order []string
	ops   map[string]*physical.TxnEntry
}

// Put adds a write; it replaces what the batch has for the key.
func (b *Batch) Put(e *physical.Entry) {
	b.set(Put(e))
}

// Delete adds a deletion; it replaces what the batch has for the key.
func (b *Batch) Delete(key string) {
	b.set(Delete(key))
}

// Drop removes a key from the batch.
func (b *Batch) Drop(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.ops[key]; !ok {
		return
	}
	delete(b.ops, key)
	for i, k := range b.order {
		if k == key {
			b.order = append(b.order[:i:i], b.order[i+1:]...)
			return
		}
	}
}

// Get is the batch's write of a key; ok is false if there is none. A nil entry is a deletion.
func (b *Batch) Get(key string) (e *physical.Entry, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	op, ok := b.ops[key]
	if !ok || op.Operation == physical.DeleteOperation {
		return nil, ok
	}
	return op.Entry, true
}

// Entries are the writes in the order in which their keys first came.
func (b *Batch) Entries() []*physical.TxnEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*physical.TxnEntry, 0, len(b.order))
	for _, k := range b.order {
		out = append(out, b.ops[k])
	}
	return out
}

func (b *Batch) set(op *physical.TxnEntry) {
	key := op.Entry.Key
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ops == nil {
		b.ops = map[string]*physical.TxnEntry{}
	}
	if _, ok := b.ops[key]; !ok {
		b.order = append(b.order, key)
	}
	b.ops[key] = op
}
