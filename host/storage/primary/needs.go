// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/held"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// WritePath is what a primary asks of the write path.
type WritePath interface {
	// Hold keeps others from changing how writes are treated, until release is called.
	Hold() (release func())
	// SetJournal gives each write that begins from now on a row in a journal, if its key is
	// replicated in one of the modes; nil for no journal. It returns when no write is under
	// way that is treated otherwise. The caller holds the write path.
	SetJournal(ctx context.Context, j *Journal, modes []replication.Mode) error
	// Fence returns when all writes that began before are over. It holds the write path.
	Fence(ctx context.Context) error
	// JournalKeys makes rows of keys as they are now, in the journal that there is. With
	// one named it does so in that one alone, for what another node has written: the
	// indexes have not counted that, and are invalidated if so is asked.
	JournalKeys(ctx context.Context, keys []string) error
	JournalForeign(ctx context.Context, in *Journal, keys []string, invalidate bool) error
	// SettleOwed makes rows of the keys that changes of role have written while no journal
	// ran.
	SettleOwed(ctx context.Context) error
}

// Indexes is what a primary asks of the indexes: they run while its journal does. Who starts
// or stops one holds the write path.
type Indexes interface {
	Start(ctx context.Context, mode replication.Mode, key fingerprint.Key) error
	Stop(ctx context.Context, mode replication.Mode, mayWrite bool) error
	Forget(ctx context.Context, mode replication.Mode) error
	SettleClasses()
	// Sums are those of the index that runs now, nil for none.
	Sums(mode replication.Mode) *fingerprint.Index
	// Invalidate invalidates it, in memory and as it is stored.
	Invalidate(ctx context.Context, mode replication.Mode) error
}

// Options are those of storage.Options, with their defaults.
type Options struct {
	RingBytes, RingRows    int
	Numbers                uint64
	FrameBytes, RangeBytes int
	Caps                   retention.Caps
	LateEvery              time.Duration
}

// Needs are what a primary is made of.
type Needs struct {
	Options
	Below   *backing.Storage
	Writes  WritePath
	Indexes Indexes
	// Held are the views that were written while nothing was known of their mounts.
	Held *held.Views
	// Applied is the highest number that this cluster knows as a secondary.
	Applied func(context.Context) (uint64, error)
	// HistoryLost is called when the method of that name becomes true.
	HistoryLost func()
}
