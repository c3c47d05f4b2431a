// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/held"
	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// writePath makes a write: the guard, the write mode that it enters, the locks of its keys, its number and row in the
// journal, what the indexes are told. See commit.go.
//
// control is held by the one who changes the write mode, and guards draining. Its holder waits for the writes in former
// write modes, so no write may take it.
type writePath struct {
	below *backing.Storage
	// alone says whether a row must not share a transaction with later ones, because the observer may have to act before
	// they are there.
	alone    func(key string) bool
	observed atomic.Pointer[observer]
	// counted are the indexes that count the writes.
	counted counted

	writeMode atomic.Pointer[writeMode]
	control   lock.Turns
	draining  []*writeMode // former write modes that a change has not waited for to the end
	tables    tableTurns

	held    held.Views
	unknown atomic.Uint64
	together
	refusals refusal.Counters
}

// counted is what the write path asks of the indexes.
type counted interface {
	// InvalidateUntold is called before each write. told are the indexes that are told of the write.
	InvalidateUntold(ctx context.Context, writes []*physical.TxnEntry, told map[replication.Mode]*index.Index) error
	// StoredOf are the rows of stored indexes that have counted any of the keys.
	StoredOf(ctx context.Context, keys []string) (rows []string, err error)
}

// UnknownKeys counts writes to keys that the table of classes does not know, made while a journal or an index ran.
func (wp *writePath) UnknownKeys() uint64 { return wp.unknown.Load() }

// Observe sets the observer. It replaces the former one.
func (wp *writePath) Observe(o Observer) { wp.observed.Store(&observer{o}) }

func (wp *writePath) observer() Observer { return wp.observed.Load().Observer }

// Refusals count the writes that the guard has refused with logical.ErrReadOnly.
func (wp *writePath) Refusals() *refusal.Counters { return &wp.refusals }

// Guard is the present guard.
func (wp *writePath) Guard() Guard { return wp.writeMode.Load().guard }

// hold takes control, however long that takes: a change of the guard or an end of the journal must not be given up.
func (wp *writePath) hold() (release func()) {
	wp.control <- struct{}{}
	return func() { <-wp.control }
}

// enter counts a write into the present write mode.
func (wp *writePath) enter() *writeMode {
	for {
		r := wp.writeMode.Load()
		r.inflight.Add(1)
		// A change between the two lines may not wait for this write.
		if wp.writeMode.Load() == r {
			return r
		}
		r.leave()
	}
}

// change makes a new write mode the present one, and waits for the writes in former ones. If the context ends before,
// the new write mode holds all the same. The caller holds control.
func (wp *writePath) change(ctx context.Context, f func(*writeMode)) error {
	old := wp.writeMode.Load()
	wp.writeMode.Store(old.with(f))
	old.retire()
	wp.draining = append(wp.draining, old)
	for len(wp.draining) > 0 {
		select {
		case <-wp.draining[0].done:
			wp.draining = wp.draining[1:]
		case <-ctx.Done():
			return replication.Errorf(replication.Unavailable,
				"writes that are under way did not end in time, so the change of the storage's state is not complete: %w",
				ctx.Err())
		}
	}
	return nil
}

// Inner is the storage below the tap, for Own keys: no guard, journal or index sees writes to it.
func (wp *writePath) Inner() physical.Backend { return wp.below.Raw }

// Classes gives the classes of keys.
func (wp *writePath) Classes() *keyclass.Classifier { return wp.below.Classes() }
