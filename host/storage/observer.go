// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Observer is who is told what happens in the storage: the one who decides the role of
// the cluster. Embed Nobody for what is of no interest.
type Observer interface {
	// LeadershipBegins is called before a write below core/leader/ is passed on, which
	// the core makes once at the start of each leadership on storage with high
	// availability. An error fails the write, and with it the leadership. It may change
	// the write mode.
	LeadershipBegins(ctx context.Context) error
	// HistoryLost is called when [Tap.HistoryLost] becomes true. It must return at once
	// and call nothing of the tap.
	HistoryLost()
	// IndexWrong is called when a check of the index of a mode has found that the storage
	// has something else than was written to it through this tap. It must not block.
	IndexWrong(mode replication.Mode)
	// BeforeApply sees each transaction of ApplyFrame and ApplyRange before it is
	// written. It may add writes of Own keys, which become part of the transaction, and
	// drop others; an error fails the apply. It must not change the write mode.
	BeforeApply(ctx context.Context, b *txn.Batch) error
	// Applied is called with the keys that an apply has written or deleted, in order,
	// after they are durable and before anything later is applied: for each transaction
	// of a frame, and once for a range with those that it has changed. It returns those
	// that it could not take up, and is called with them again; nobody who waits for an
	// apply is told that it is done before. Its context is that of the node's duty. It
	// may be called with keys that have not changed, and is never called concurrently.
	Applied(ctx context.Context, keys []string) (left []string)
	// TableWritten is called before the core's write of a mount table is passed on, with
	// its key and its value (still encrypted): the classes of a mount's keys must be
	// right when the first of them is written. It gives the table to keyclass.Mounts and
	// calls Reclassify for what has changed; its error fails the write. If the storage
	// then fails the write, it is called again with what the storage has. Writes that the
	// guard refuses or drops do not reach it.
	TableWritten(ctx context.Context, key string, value []byte) error
	// TableStored is called with the key of a mount table that the core has written,
	// before its write returns. It may wait: no lock of the storage is held.
	TableStored(ctx context.Context, key string)
}

// observer is an Observer in an atomic pointer.
type observer struct{ Observer }

// Nobody is an Observer to whom it is all the same.
type Nobody struct{}

// LeadershipBegins implements Observer.
func (Nobody) LeadershipBegins(context.Context) error { return nil }

// HistoryLost implements Observer.
func (Nobody) HistoryLost() {}

// IndexWrong implements Observer.
func (Nobody) IndexWrong(replication.Mode) {}

// BeforeApply implements Observer.
func (Nobody) BeforeApply(context.Context, *txn.Batch) error { return nil }

// Applied implements Observer.
func (Nobody) Applied(context.Context, []string) []string { return nil }

// TableWritten implements Observer.
func (Nobody) TableWritten(context.Context, string, []byte) error { return nil }

// TableStored implements Observer.
func (Nobody) TableStored(context.Context, string) {}
