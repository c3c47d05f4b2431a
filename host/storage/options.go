// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/retention"
)

// The defaults of Options.
const (
	// DefaultRingBytes bounds the recent writes that are kept in memory.
	DefaultRingBytes = 64 << 20
	// DefaultNumbers is how many numbers are reserved at once. After a crash up to twice as
	// many numbers are void; it costs one small write for so many writes.
	DefaultNumbers = 4096
	// DefaultLateEvery is how often rows of deposed leaders are looked for.
	DefaultLateEvery = 5 * time.Second
)

// Options configure a Tap; the zero value is usable.
type Options struct {
	Logger hclog.Logger
	// Limits are those of the lowest layer's transactions, entries and bytes;
	// zero means the default. The layers between do not pass them on, so the
	// host reads them from the storage itself. nil asks the inner backend.
	Limits func() (maxEntries, maxBytes int)
	// ApplyBytes is how large a transaction of applied writes may be where the
	// storage takes larger ones than its limits say; zero for no more than those. It
	// may refuse one all the same: then its limits hold from there on.
	ApplyBytes int
	// Room is asked before each transaction that applies what a primary wrote; its error
	// says that the storage has no room for it. nil for storage that says so itself, and
	// goes on.
	Room func() error
	// RingBytes bounds the journal's rows in memory; zero for DefaultRingBytes.
	RingBytes int
	// RingRows bounds them by their number too; zero for no such bound.
	RingRows int
	// Numbers is how many numbers of the journal are reserved at once; zero for DefaultNumbers.
	Numbers int
	// FrameBytes and RangeBytes are the sizes at which a frame and a range are cut;
	// zero for replication.PayloadTarget and a few times that.
	FrameBytes, RangeBytes int
	// Caps bound what a slot retains.
	Caps retention.Caps
	// Fenced says that the storage keeps a deposed leader from writing. Transactions alone do
	// not: it takes raft's term, or a lock that is checked with each write.
	Fenced bool
	// LateEvery is how often rows of deposed leaders are looked for on storage that does
	// not fence them; zero for DefaultLateEvery.
	LateEvery time.Duration
	// StoreAfter is how long a part of the index is at rest before it is stored again;
	// zero for index.DefaultStoreAfter.
	StoreAfter time.Duration
	// PathKeys says that the storage joins keys as paths, so that several spellings
	// are one key. Only for storage without transactions.
	PathKeys bool
	// AnyPrefix says that the storage lists what begins with any prefix, not directories
	// alone: then the large ones need not be listed as a whole.
	AnyPrefix bool
	// Alone says which keys, such as mount tables, a frame's apply must write in a
	// transaction apart from other rows: who is told of it may have to act before
	// anything later is there. nil for none.
	Alone func(key string) bool
	// Classes says which keys are replicated; nil for the table alone.
	Classes *keyclass.Classifier
}
