// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Observer is told what happens in the storage. It decides the role of the cluster. Embed Nobody for the methods that
// are not needed.
type Observer interface {
	// LeadershipBegins is called before a write below core/leader/ is passed on. On storage with high availability the
	// core makes such a write once, at the start of each leadership. An error fails the write, and with it the leadership.
	// The method may change the write mode.
	LeadershipBegins(ctx context.Context) error
	// HistoryLost is called when [Tap.HistoryLost] becomes true. It must return at once and must not call the tap.
	HistoryLost()
	// IndexWrong is called when a check of the index of a mode has found that the storage differs from what was written to
	// it through this tap. It must not block.
	IndexWrong(mode replication.Mode)
	// IndexUnseen is called when the first index of a mode in this process has begun, and nothing was stored with which a
	// part of the storage could be compared. So nobody knows whether that part was changed while no server ran. It must
	// not block.
	IndexUnseen(mode replication.Mode)
	// BeforeApply gets each transaction of ApplyFrame and ApplyRange before it is written. It may add writes of Own keys
	// to the transaction, and drop writes. An error fails the apply. The method must not change the write mode.
	BeforeApply(ctx context.Context, b *txn.Batch) error
	// Applied is called with the keys that an apply has written or deleted, in order, after they are stored and before
	// anything later is applied. For a frame it is called for each transaction; for a range it is called once, with the
	// keys that changed. It returns the keys that it could not take up, and is called with them again. Until they are
	// taken up, callers that wait for the apply go on waiting. The context is that of the node's duty. The method may get
	// keys that have not changed, and is never called concurrently.
	Applied(ctx context.Context, keys []string) (left []string)
	// TableWritten is called before the core's write of a mount table, or of the record of what backends have declared, is
	// passed on, with its key and its value (still encrypted), because the classes of a mount's keys must be right before
	// the first of them is written. It gives the row to keyclass.Mounts and calls Reclassify for the changes. An error
	// fails the write. If the storage fails the write, the method is called again with the row that the storage has. It is
	// not called for writes that the guard refuses or drops.
	TableWritten(ctx context.Context, key string, value []byte) error
	// TableStored is called with the key of such a row that the core has written, before that write returns. It may wait,
	// because no lock of the storage is held.
	TableStored(ctx context.Context, key string)
}

// observer is an Observer in an atomic pointer.
type observer struct{ Observer }

// Nobody is an Observer that does nothing.
type Nobody struct{}

// LeadershipBegins implements Observer.
func (Nobody) LeadershipBegins(context.Context) error { return nil }

// HistoryLost implements Observer.
func (Nobody) HistoryLost() {}

// IndexWrong implements Observer.
func (Nobody) IndexWrong(replication.Mode) {}

// IndexUnseen implements Observer.
func (Nobody) IndexUnseen(replication.Mode) {}

// BeforeApply implements Observer.
func (Nobody) BeforeApply(context.Context, *txn.Batch) error { return nil }

// Applied implements Observer.
func (Nobody) Applied(context.Context, []string) []string { return nil }

// TableWritten implements Observer.
func (Nobody) TableWritten(context.Context, string, []byte) error { return nil }

// TableStored implements Observer.
func (Nobody) TableStored(context.Context, string) {}
