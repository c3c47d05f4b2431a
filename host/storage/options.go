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
	// DefaultRingBytes bounds the ring, in bytes.
	DefaultRingBytes = 64 << 20
	// DefaultNumbers is how many numbers are reserved at once, which costs one small write. After a crash up to twice as
	// many numbers are void.
	DefaultNumbers = 4096
	// DefaultLateEvery is how often rows of deposed leaders are looked for.
	DefaultLateEvery = 5 * time.Second
)

// Options configure a Tap; the zero value is usable.
type Options struct {
	Logger hclog.Logger
	// Limits are the limits of the storage's transactions, in entries and bytes; zero means the default. The layers
	// between tap and storage do not pass them on, so the host reads them from the storage itself. nil asks the inner
	// backend.
	Limits func() (maxEntries, maxBytes int)
	// ApplyBytes is the size that a transaction of applied writes may have, if the storage accepts more than its declared
	// limits; zero if it does not. If the storage refuses one all the same, its limits hold from then on.
	ApplyBytes int
	// Room is called before each transaction that applies a primary's writes. Its error says that the storage has no room
	// for it. It is nil for storage that reports this itself and survives it.
	Room func() error
	// RingBytes bounds the ring, in bytes; zero for DefaultRingBytes.
	RingBytes int
	// RingRows bounds the ring by its number of rows too; zero for no such bound.
	RingRows int
	// Numbers is how many numbers of the journal are reserved at once; zero for DefaultNumbers.
	Numbers int
	// FrameBytes and RangeBytes are the sizes at which a frame and a range are cut;
	// zero for replication.PayloadTarget and a few times that.
	FrameBytes, RangeBytes int
	// Caps bound what a slot retains.
	Caps retention.Caps
	// Fenced says that the storage keeps a deposed leader from writing. Transactions are not enough for this: the storage
	// needs raft's term, or a lock that it checks with each write.
	Fenced bool
	// LateEvery is how often rows of deposed leaders are looked for on storage that does
	// not fence them; zero for DefaultLateEvery.
	LateEvery time.Duration
	// StoreAfter is how long a block of the index has no write before it is stored again; zero for
	// index.DefaultStoreAfter.
	StoreAfter time.Duration
	// PathKeys says that the storage joins keys as paths, so that several spellings are one key. It is only for storage
	// without transactions.
	PathKeys bool
	// AnyPrefix says that the storage lists by any prefix, not directories alone. Then large directories need not be
	// listed as a whole.
	AnyPrefix bool
	// Alone says whether the row of a key, such as a mount table, must be applied in a transaction of its own, because the
	// observer may have to act before later rows are there. nil for none.
	Alone func(key string) bool
	// Classes gives the classes of keys; nil for the table alone.
	Classes *keyclass.Classifier
}
