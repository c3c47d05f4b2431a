// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// writePath is the way of a write: the guard, the write mode that it enters, the locks of its
// keys, its number and row in the journal, what the indexes are told. See commit.go.
//
// control serialises changes of the write mode; it guards draining and history.reached. It is
// held while writes of former write modes end, so no write may take it.
type writePath struct {
	below    *backing.Storage
	alone    func(string) bool
	observed atomic.Pointer[observer]
	// counted are the indexes that count what is written.
	counted counted

	writeMode atomic.Pointer[writeMode]
	control   sync.Mutex
	draining  []*writeMode // write modes that a change gave up waiting for

	held     heldViews
	unknown  atomic.Uint64
	refusals refusal.Counters
}

// counted is what the write path asks of the indexes.
type counted interface {
	// InvalidateUntold is called before each write, with the indexes that are told of it.
	InvalidateUntold(ctx context.Context, writes []*physical.TxnEntry, told map[replication.Mode]*index.Index) error
	// StoredOf are the rows of stored indexes that have counted keys.
	StoredOf(ctx context.Context, keys []string) (rows []string, err error)
}

// UnknownKeys counts writes to keys that the table of classes does not know,
// seen while a journal or fingerprint was kept.
func (wp *writePath) UnknownKeys() uint64 { return wp.unknown.Load() }

// applying is the write path as a secondary uses it: see secondary.Writer.
type applying struct{ *writePath }

// Begin enters the present write mode.
func (wp applying) Begin() (commit txn.Commit, end func()) {
	r := wp.enter()
	return func(ctx context.Context, writes []*physical.TxnEntry, o txn.Options) error {
		return wp.commit(ctx, r, writes, o)
	}, r.leave
}

// DeleteKeys deletes keys in transactions, past the guard.
func (wp applying) DeleteKeys(ctx context.Context, keys []string) (deleted uint64, err error) {
	return wp.deleteKeys(ctx, keys)
}

// Alone says whether a row must not share a transaction with later ones.
func (wp applying) Alone(key string) bool { return wp.isAlone(key) }

// telling is the write path as the indexes use it: see index.WritePath. Who calls it holds
// control.
type telling struct{ *writePath }

// Running are the indexes that the present write mode tells of writes.
func (wp telling) Running() map[replication.Mode]*index.Index { return wp.writeMode.Load().indexes }

// Tell changes the write mode.
func (wp telling) Tell(ctx context.Context, mode replication.Mode, x *index.Index) error {
	return wp.change(ctx, func(r *writeMode) {
		r.indexes = copyMap(r.indexes, func(m map[replication.Mode]*index.Index) {
			if m[mode] = x; x == nil {
				delete(m, mode)
			}
		})
	})
}

// isAlone says whether a row must not share a transaction with later ones: whoever is told of
// it may have to act before they are there.
func (wp *writePath) isAlone(key string) bool { return wp.alone != nil && wp.alone(key) }
