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
	grown   chan struct{} // says that the index has too few cuts

	indexing indexing
	round    round // of keep alone
	stored   storedIndex
	// confirmed says that all that the index has was read since it began.
	confirmed atomic.Bool
}

// Fingerprint is that of a mode's content now, with the number of its keys; nil
// and 0 while it is not known.
func (x *Indexes) Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64) {
	p := x.writes.Running()[mode]
	if p == nil {
		return nil, 0
	}
	return p.index.Root()
}

// Sums are those of a mode's content, in memory; nil while its index does not run.
func (x *Indexes) Sums(mode replication.Mode) *fingerprint.Index {
	if p := x.writes.Running()[mode]; p != nil {
		return p.index
	}
	return nil
}

// Invalidate makes the fingerprint of a mode unknown, has it computed anew, and deletes what
// is stored of it.
func (x *Indexes) Invalidate(ctx context.Context, mode replication.Mode) error {
	p := x.writes.Running()[mode]
	if p == nil {
		return nil
	}
	p.Invalidate()
	return p.InvalidateStored(ctx)
}

// Start begins to keep the index of a mode's content: a scan in the background, during which
// the fingerprint is unknown, and then with every write. With the key that is in use already
// it does nothing. The caller changes the write path.
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
	// Scanning begins when every write is one that the index is told of, and what is
	// stored is read when none is made.
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

// Stop ends the index of a mode: it cannot follow what another node writes. It is stored
// if this node may write. The caller changes the write path.
func (x *Indexes) Stop(ctx context.Context, mode replication.Mode, mayWrite bool) error {
	x.unwatched[mode].Store(true) // by another node, if not by this one
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

// Store stores what is not stored yet of the indexes, so that they are there at
// once after a restart. The host calls it when the node is about to seal, while it
// can write; it takes a few seconds at most.
func (x *Indexes) Store(ctx context.Context) {
	for _, p := range x.writes.Running() {
		p.storeNow(ctx)
	}
}

// storeNow stores what it can in a few seconds. What it cannot is read at the next start.
func (p *Index) storeNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := p.store(ctx, time.Now()); err != nil {
		p.of.below.Logger.Info("the index of the replicated content could not be stored, so a part of the content is read "+
			"at the next start", "mode", p.mode, "error", err)
	}
}

// signal wakes who waits for it, once.
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

// Confirmed says that all that the index has was read since it began.
func (p *Index) Confirmed() bool { return p.confirmed.Load() }

// Grown says that the index may have too few cuts.
func (p *Index) Grown() { signal(p.grown) }
