// SPDX-License-Identifier: MPL-2.0

// Package index keeps an index of the replicated content, for each mode in which the cluster has a role: it sums the
// content up, stores the sums, and checks them against the storage.
//
// It writes only the rows of stored indexes. These are own rows of the cluster, which are not journalled. The write
// path tells it what each write changes, under the locks of the keys. It changes the write mode only through
// [WritePath], so that no write is missed between the start of a scan and the first write that an index is told of.
package index

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// WritePath tells the running indexes of each write.
type WritePath interface {
	// Running are the indexes that are told of writes. The map does not change.
	Running() map[replication.Mode]*Index
	// Tell has an index of a mode told of writes from now on, nil for none. It returns when no write in the former write
	// mode is under way.
	Tell(ctx context.Context, mode replication.Mode, x *Index) error
}

// Needs are what the indexes are made of.
type Needs struct {
	Below  *backing.Storage
	Writes WritePath
	// Copying says whether a copy of a mode is under way.
	Copying func(replication.Mode) bool
	// Wrong is called when a check has found that the storage differs from what was written to it.
	Wrong func(replication.Mode)
	// Unseen is called when the first index of a mode in this process has begun, and nothing was stored with which a part
	// of the storage could be compared.
	Unseen     func(replication.Mode)
	StoreAfter time.Duration
}

// Indexes are the indexes of all modes. One runs for each mode of which the write path tells it, and each is stored.
// Safe for concurrent use.
//
// An index begins and ends while the caller holds the write path. The locks inside are held for a moment only. The turn
// of storedIndex is held while rows are written; under it nobody waits for the lock of a key.
type Indexes struct {
	below      *backing.Storage
	writes     WritePath
	copying    func(replication.Mode) bool
	wrong      func(replication.Mode)
	unseen     func(replication.Mode)
	storeAfter time.Duration
	// looked is true for a mode whose whole storage this process has read once.
	looked map[replication.Mode]*atomic.Bool
	// settled identifies the classes of the mounts' keys by which the indexes count.
	settled atomic.Pointer[[32]byte]
	// unwatched is true for a mode whose index may be in storage while no index of that
	// mode runs and keeps it up to date: see InvalidateUntold.
	unwatched map[replication.Mode]*atomic.Bool
}

// New makes the indexes of a storage; none runs.
func New(n Needs) *Indexes {
	x := &Indexes{
		below: n.Below, writes: n.Writes, copying: n.Copying, wrong: n.Wrong, unseen: n.Unseen, storeAfter: n.StoreAfter,
		looked: map[replication.Mode]*atomic.Bool{}, unwatched: map[replication.Mode]*atomic.Bool{},
	}
	for _, mode := range replication.Modes() {
		x.looked[mode] = &atomic.Bool{}
		x.unwatched[mode] = &atomic.Bool{}
		x.unwatched[mode].Store(true)
	}
	return x
}

// Rest ends storing, and waits for it until the context ends.
func (x *Indexes) Rest(ctx context.Context) {
	for _, unwatched := range x.unwatched {
		unwatched.Store(true) // the next active node may write it
	}
	for _, p := range x.writes.Running() {
		p.rest(ctx)
	}
}
