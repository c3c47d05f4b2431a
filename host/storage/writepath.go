// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

// writePath is the way of a write: the guard, the regime that it enters, the locks of its
// keys, its number and row in the journal, what the indexes are told. See commit.go.
//
// control serialises changes of the regime; it guards draining and history.reached. It is
// held while writes of former regimes end, so no write may take it.
type writePath struct {
	below    *backing.Storage
	alone    func(string) bool
	observed atomic.Pointer[observer]
	// counted are the indexes that count what is written.
	counted counted

	regime   atomic.Pointer[regime]
	control  sync.Mutex
	draining []*regime // regimes that a change gave up waiting for

	held     heldViews
	unknown  atomic.Uint64
	refusals refusal.Counters
}

// counted is what the write path asks of the indexes.
type counted interface {
	// beheadUnwatched is called before each write, in its regime.
	beheadUnwatched(ctx context.Context, r *regime, writes []*physical.TxnEntry) error
	// storedOf are the rows of stored indexes that have counted keys.
	storedOf(ctx context.Context, keys []string) (rows []string, err error)
}

// Begin enters the present regime for writes past the guard.
func (wp *writePath) Begin() (commit txn.Commit, end func()) {
	r := wp.enter()
	return func(ctx context.Context, writes []*physical.TxnEntry, o txn.Options) error {
		return wp.commit(ctx, r, writes, o)
	}, r.leave
}

// Alone says whether a row must not share a transaction with later ones: whoever is told of
// it may have to act before they are there.
func (wp *writePath) Alone(key string) bool { return wp.alone != nil && wp.alone(key) }

// UnknownKeys counts writes to keys that the table of classes does not know,
// seen while a journal or fingerprint was kept.
func (wp *writePath) UnknownKeys() uint64 { return wp.unknown.Load() }
