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
	// Hold lets nobody else change the write mode until release is called.
	Hold() (release func())
	// SetJournal gives each write that begins from now on a row in j, if its key is replicated in one of the modes; nil
	// means no journal. It returns when no write in the former write mode is under way. The caller holds the write path.
	SetJournal(ctx context.Context, j *Journal, modes []replication.Mode) error
	// Fence returns when all writes that began before it have ended. It holds the write path.
	Fence(ctx context.Context) error
	// JournalKeys makes rows of keys with their present values, in the present journal. JournalForeign does so in one
	// given journal, for writes of another node. The indexes have not counted those writes; invalidate has them computed
	// anew.
	JournalKeys(ctx context.Context, keys []string) error
	JournalForeign(ctx context.Context, in *Journal, keys []string, invalidate bool) error
	// SettleOwed makes rows of the keys that changes of role wrote while no journal ran.
	SettleOwed(ctx context.Context) error
}

// Indexes is what a primary asks of the indexes, which run while its journal runs. The caller of Start or Stop holds
// the write path.
type Indexes interface {
	Start(ctx context.Context, mode replication.Mode, key fingerprint.Key) error
	Stop(ctx context.Context, mode replication.Mode, mayWrite bool) error
	Forget(ctx context.Context, mode replication.Mode) error
	SettleClasses()
	// Sums are the sums of the running index, nil for none.
	Sums(mode replication.Mode) *fingerprint.Index
	// Invalidate invalidates the index, in memory and in storage.
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
	// Held are the views that were written while their mounts were unknown.
	Held *held.Views
	// Applied is the highest number that this cluster has applied as a secondary.
	Applied func(context.Context) (uint64, error)
	// HistoryLost is called when the method HistoryLost becomes true.
	HistoryLost func()
}
