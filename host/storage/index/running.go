// SPDX-License-Identifier: MPL-2.0

package index

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Index is the running index of a mode, with the task that keeps it.
type Index struct {
	of      *Indexes
	mode    replication.Mode
	key     fingerprint.Key
	index   *fingerprint.Index
	cancel  context.CancelFunc
	done    chan struct{}
	unknown chan struct{} // asks for a scan
	grown   chan struct{} // says that ranges of the index have grown

	indexing indexing
	round    round // of keep alone
	stored   storedIndex
	// confirmed says that everything in the index was read from the storage since it began.
	confirmed atomic.Bool
	// unseen says that a part of it was read without anything stored to compare that with.
	unseen atomic.Bool
}

// Fingerprint is the present fingerprint of a mode's content, with the number of its keys; nil and 0 while it is
// unknown.
func (x *Indexes) Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64) {
	p := x.writes.Running()[mode]
	if p == nil {
		return nil, 0
	}
	return p.index.Root()
}

// Sums are the sums of a mode's content, in memory; nil while its index does not run.
func (x *Indexes) Sums(mode replication.Mode) *fingerprint.Index {
	if p := x.writes.Running()[mode]; p != nil {
		return p.index
	}
	return nil
}

// Invalidate makes the fingerprint of a mode unknown, has it computed anew, and deletes the stored index.
func (x *Indexes) Invalidate(ctx context.Context, mode replication.Mode) error {
	p := x.writes.Running()[mode]
	if p == nil {
		return nil
	}
	p.Invalidate()
	return p.InvalidateStored(ctx)
}

// Start begins to keep the index of a mode's content: first by a scan in the background, during which the fingerprint
// is unknown, then with every write. If the index runs already with this key, it does nothing. The caller holds the
// write path.
func (x *Indexes) Start(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if old := x.writes.Running()[mode]; old != nil {
		if old.key == key {
			return nil
		}
		if err := x.Stop(ctx, mode, true); err != nil {
			return err
		}
	}
	p := &Index{
		of: x, mode: mode, key: key, index: fingerprint.NewIndex(fingerprint.NewHasher(key)),
		done: make(chan struct{}), unknown: make(chan struct{}, 1), grown: make(chan struct{}, 1),
		stored: storedIndex{turn: make(lock.Turns, 1)},
	}
	x.SettleClasses()
	// The scan begins once the index is told of every write. The stored index is read while no write can be made.
	p.index.Hold()
	err := x.writes.Tell(ctx, mode, p)
	scanCtx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if err == nil {
		err = p.findStored(ctx)
	} else {
		p.index.Release("", nil)
	}
	if err != nil {
		cancel()
		close(p.done)
		return errors.Join(err, x.Stop(ctx, mode, false))
	}
	go func() {
		defer close(p.done)
		p.keep(scanCtx)
	}()
	return nil
}

// Stop ends the index of a mode, because it cannot follow the writes of another node. It is stored if this node may
// write. The caller holds the write path.
func (x *Indexes) Stop(ctx context.Context, mode replication.Mode, mayWrite bool) error {
	x.unwatched[mode].Store(true) // this node or another one may write it
	p := x.writes.Running()[mode]
	if p == nil {
		return nil
	}
	err := x.writes.Tell(ctx, mode, nil)
	p.cancel()
	<-p.done
	if mayWrite && err == nil {
		p.storeNow(ctx)
	}
	return err
}

// Store stores the blocks that are not stored yet, so that the indexes are there at once after a restart. The host
// calls it before the node seals, while it can still write. It takes a few seconds at most.
func (x *Indexes) Store(ctx context.Context) {
	for _, p := range x.writes.Running() {
		p.storeNow(ctx)
	}
}

// storeNow stores what it can in a few seconds. The next start reads the rest from the storage.
func (p *Index) storeNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := p.store(ctx, time.Now()); err != nil {
		p.of.below.Logger.Info("the index of the replicated content could not be stored, so a part of the content is read "+
			"at the next start", "mode", p.mode, "error", err)
	}
}

// signal wakes the waiting goroutine, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Invalidate makes the fingerprint unknown and has it computed anew.
func (p *Index) Invalidate() {
	p.index.Invalidate()
	signal(p.unknown)
}

// Sums are the sums of the content, in memory.
func (p *Index) Sums() *fingerprint.Index { return p.index }

// Confirmed says that everything in the index was read from the storage since it began.
func (p *Index) Confirmed() bool { return p.confirmed.Load() }

// Grown says that ranges of the index may have grown.
func (p *Index) Grown() { signal(p.grown) }
