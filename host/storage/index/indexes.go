// SPDX-License-Identifier: MPL-2.0

// Package index keeps an index of what is replicated, for each mode in which the cluster has a
// role: it sums the content up, stores the sums, and checks them against the storage.
//
// It writes the rows of stored indexes and nothing else: these are own rows of the cluster,
// which nobody journals. What a write changes it is told by the write path, under the locks
// of the keys. It changes how writes are treated through [WritePath] alone, so that no write
// is missed between a scan and the first one that an index is told of.
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
	// Running are the indexes that are told now. The map does not change.
	Running() map[replication.Mode]*Index
	// Tell has an index of a mode told from now on, nil for none. It returns when no write is
	// under way that is treated otherwise.
	Tell(ctx context.Context, mode replication.Mode, x *Index) error
}

// Needs are what the indexes are made of.
type Needs struct {
	Below  *backing.Storage
	Writes WritePath
	// Copying says whether a copy of a mode is under way.
	Copying func(replication.Mode) bool
	// Wrong is called when a check has found that the storage has something else than was
	// written to it.
	Wrong      func(replication.Mode)
	StoreAfter time.Duration
}

// Indexes are those of all modes. One runs for each mode that the write path tells of its
// writes, and each is stored. Safe for concurrent use.
//
// They begin and end while the caller changes the write path. The locks inside are held for a
// moment; the turn of storedIndex is held while rows are written, and no lock of a key is
// waited for under it.
type Indexes struct {
	below      *backing.Storage
	writes     WritePath
	copying    func(replication.Mode) bool
	wrong      func(replication.Mode)
	storeAfter time.Duration
	// settled are the classes of keys of mounts that the indexes count by.
	settled atomic.Pointer[[32]byte]
	// unwatched is true for a mode whose index may be in storage while no index of that
	// mode runs and keeps it up to date: see InvalidateUntold.
	unwatched map[replication.Mode]*atomic.Bool
}

// New makes the indexes of a storage; none runs.
func New(n Needs) *Indexes {
	x := &Indexes{
		below: n.Below, writes: n.Writes, copying: n.Copying, wrong: n.Wrong, storeAfter: n.StoreAfter,
		unwatched: map[replication.Mode]*atomic.Bool{},
	}
	for _, mode := range replication.Modes() {
		x.unwatched[mode] = &atomic.Bool{}
		x.unwatched[mode].Store(true)
	}
	return x
}

// Rest ends storing, and waits for it until the context ends.
func (x *Indexes) Rest(ctx context.Context) {
	for _, unwatched := range x.unwatched {
		unwatched.Store(true) // by the node that leads next
	}
	for _, p := range x.writes.Running() {
		p.rest(ctx)
	}
}
