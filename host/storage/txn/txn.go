// SPDX-License-Identifier: MPL-2.0

// Package txn has what the parts of the storage tap say about the writes of one transaction:
// a batch of them, their size, and how they are to be committed. It reads and writes nothing,
// so that every part can make writes and only the write path makes them durable.
package txn

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"
)

// Commit makes the writes of one transaction durable.
type Commit func(ctx context.Context, writes []*physical.TxnEntry, o Options) error

// Options say how writes are committed.
type Options struct {
	// SkipEqual leaves out writes that would change nothing.
	SkipEqual bool
	// About is called with what is about to be written, without what SkipEqual leaves out,
	// whether or not the storage then makes the writes. nil for none.
	About func([]*physical.TxnEntry)
	// OneStep makes all of the writes or none, on storage without transactions too.
	OneStep bool
}

// Put is the write of a row.
func Put(e *physical.Entry) *physical.TxnEntry {
	return &physical.TxnEntry{Operation: physical.PutOperation, Entry: e}
}

// Delete is the deletion of a row.
func Delete(key string) *physical.TxnEntry {
	return &physical.TxnEntry{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: key}}
}

// Deletes are the deletions of rows.
func Deletes(keys []string) []*physical.TxnEntry {
	out := make([]*physical.TxnEntry, len(keys))
	for i, key := range keys {
		out[i] = Delete(key)
	}
	return out
}

// Size is what a row counts in a transaction. Keys count twice, as storage that encodes
// transactions does.
func Size(e *physical.Entry) int { return 2*len(e.Key) + len(e.Value) }

// SizeOf is the size of all rows of a transaction.
func SizeOf(writes []*physical.TxnEntry) (bytes int) {
	for _, e := range writes {
		bytes += Size(e.Entry)
	}
	return bytes
}

// TooLarge recognises the refusal of a transaction for its size, which is only a text: the
// SDK has no error value for it.
func TooLarge(err error) bool {
	return strings.Contains(err.Error(), physical.ErrValueTooLarge) ||
		strings.Contains(err.Error(), physical.ErrKeyTooLarge)
}
