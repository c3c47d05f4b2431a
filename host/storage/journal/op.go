// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"golang.org/x/crypto/blake2b"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// Kind is what a write does to a key. Its numbers are part of the row format.
type Kind uint8

// The kinds of writes.
const (
	Put    Kind = 1
	Delete Kind = 2
)

// HashSize is the size of a value's hash in a row, in bytes. The hash shows whether a value is still the one that the
// row wrote; it authenticates nothing.
const HashSize = 16

// Op is one key of a write.
type Op struct {
	Kind  Kind
	Class keyclass.Class
	Key   string
	// Value is what was written, for Put. It is never changed after the write:
	// Vault's cache keeps the same slice.
	Value []byte
	// Hash is the hash of Value; only rows from storage have it.
	Hash [HashSize]byte
}

// Row is one accepted write.
type Row struct {
	Sequence uint64
	Term     uint64
	Ops      []Op
	// ConsistentFrom is 0 if the values are those of this write. Otherwise they were read later, when this was the highest
	// sequence that was given out.
	ConsistentFrom uint64
	// Bytes is about the memory that the row holds.
	Bytes int
}

// HashOf hashes a value for a row.
func HashOf(value []byte) [HashSize]byte {
	sum := blake2b.Sum256(value)
	return [HashSize]byte(sum[:HashSize])
}

// Weigh sets Bytes from the row's content.
func (r *Row) Weigh() {
	r.Bytes = 96
	for i := range r.Ops {
		r.Bytes += 64 + len(r.Ops[i].Key) + len(r.Ops[i].Value)
	}
}
