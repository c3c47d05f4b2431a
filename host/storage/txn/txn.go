// SPDX-License-Identifier: MPL-2.0

// Package txn has the writes of one transaction, as the parts of the storage tap pass them on: a batch of them, their
// size, and options of their commit. It does no input or output: every part can make writes, but only the write path
// stores them.
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
	// SkipEqual skips writes that would change nothing.
	SkipEqual bool
	// Absent, if not nil, says of keys that they do not exist, so SkipEqual does not read them. It must be right until the
	// writes are made.
	Absent func(key string) bool
	// About, if not nil, is called with the writes before they are made, without those that SkipEqual skips. The storage
	// may still refuse them.
	About func([]*physical.TxnEntry)
	// OneStep makes all writes or none, also on storage without transactions.
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

// Size is the size of a row in a transaction. Keys count twice, as in storage that encodes transactions.
func Size(e *physical.Entry) int { return 2*len(e.Key) + len(e.Value) }

// SizeOf is the size of all rows of a transaction.
func SizeOf(writes []*physical.TxnEntry) (bytes int) {
	for _, e := range writes {
		bytes += Size(e.Entry)
	}
	return bytes
}

// TooLarge recognises that a transaction was refused for its size. Only the text shows this: the SDK has no error value
// for it.
func TooLarge(err error) bool {
	return strings.Contains(err.Error(), physical.ErrValueTooLarge) ||
		strings.Contains(err.Error(), physical.ErrKeyTooLarge)
}
