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

// writePath is the way of a write: the guard, the write mode that it enters, the locks of its
// keys, its number and row in the journal, what the indexes are told. See commit.go.
//
// control serialises changes of the write mode; it guards draining. It is
// held while writes of former write modes end, so no write may take it.
type writePath struct {
	below *backing.Storage
	// alone says whether a row must not share a transaction with later ones: whoever is told
	// of it may have to act before they are there.
	alone    func(key string) bool
	observed atomic.Pointer[observer]
	// counted are the indexes that count what is written.
	counted counted

	writeMode atomic.Pointer[writeMode]
	control   lock.Turns
	draining  []*writeMode // write modes that a change gave up waiting for
	tables    tableTurns

	held    held.Views
	unknown atomic.Uint64
	together
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

// Observe sets who is told. It replaces the one before.
func (wp *writePath) Observe(o Observer) { wp.observed.Store(&observer{o}) }

func (wp *writePath) observer() Observer { return wp.observed.Load().Observer }

// Refusals count the writes that the guard has refused with logical.ErrReadOnly.
func (wp *writePath) Refusals() *refusal.Counters { return &wp.refusals }

// Guard is the present guard.
func (wp *writePath) Guard() Guard { return wp.writeMode.Load().guard }

// hold takes control, however long that takes: a guard holds and a journal ends, whoever has asked for it.
func (wp *writePath) hold() (release func()) {
	wp.control <- struct{}{}
	return func() { <-wp.control }
}

// enter counts a write into the present write mode.
func (wp *writePath) enter() *writeMode {
	for {
		r := wp.writeMode.Load()
		r.inflight.Add(1)
		// A change between the two lines might not wait for this write.
		if wp.writeMode.Load() == r {
			return r
		}
		r.leave()
	}
}

// change makes a new write mode the present one and waits for the writes of former
// ones. When the context ends before, the new write mode holds all the same. The
// caller holds control.
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

// Inner is the storage below the tap. Writes to it are neither guarded, nor
// journalled, nor in the fingerprint: it is for Own keys.
func (wp *writePath) Inner() physical.Backend { return wp.below.Raw }

// Classes is the tap's view of which key is what.
func (wp *writePath) Classes() *keyclass.Classifier { return wp.below.Classes() }
