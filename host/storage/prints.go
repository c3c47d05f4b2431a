// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// print is the fingerprint of a mode, with the task that keeps it.
type print struct {
	in      *indexes
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

// StartFingerprint begins to keep the fingerprint of a mode's content: a scan in
// the background, during which the fingerprint is unknown, and then with every
// write. The host calls it when the node becomes active in a role of the mode.
// With the key that is in use already it does nothing.
func (x *indexes) StartFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	x.control.Lock()
	defer x.control.Unlock()
	return x.startFingerprint(ctx, mode, key)
}

// StopFingerprint ends that. The host calls it when the node gives up its role:
// the fingerprint cannot follow what another node writes.
func (x *indexes) StopFingerprint(ctx context.Context, mode replication.Mode) error {
	x.control.Lock()
	defer x.control.Unlock()
	return x.stopFingerprint(ctx, mode, true)
}

// Fingerprint is that of a mode's content now, with the number of its keys; nil
// and 0 while it is not known.
func (x *indexes) Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64) {
	p := x.regime.Load().prints[mode]
	if p == nil {
		return nil, 0
	}
	return p.index.Root()
}

func (x *indexes) startFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if old := x.regime.Load().prints[mode]; old != nil {
		if old.key == key {
			return nil
		}
		if err := x.stopFingerprint(ctx, mode, true); err != nil {
			return err
		}
	}
	p := &print{
		in: x, mode: mode, key: key, index: fingerprint.NewIndex(fingerprint.NewHasher(key)),
		done: make(chan struct{}), unknown: make(chan struct{}, 1), grown: make(chan struct{}, 1),
		stored: storedIndex{turn: make(lock.Turns, 1)},
	}
	x.settleClasses()
	// Scanning begins when every write is one that the index is told of, and what is
	// stored is read when none is made.
	p.index.Hold()
	err := x.change(ctx, func(r *regime) {
		r.prints = copyMap(r.prints, func(m map[replication.Mode]*print) { m[mode] = p })
	})
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
		return errors.Join(err, x.stopFingerprint(ctx, mode, false))
	}
	go func() {
		defer close(p.done)
		p.keep(scanCtx)
	}()
	return nil
}

// stopFingerprint stores the index if this node may write.
func (x *indexes) stopFingerprint(ctx context.Context, mode replication.Mode, mayWrite bool) error {
	x.mayBeStored(mode) // by another node, if not by this one
	p := x.regime.Load().prints[mode]
	if p == nil {
		return nil
	}
	err := x.change(ctx, func(r *regime) {
		r.prints = copyMap(r.prints, func(m map[replication.Mode]*print) { delete(m, mode) })
	})
	p.cancel()
	<-p.done
	if mayWrite && err == nil {
		p.storeNow(ctx)
	}
	return err
}

// StoreIndexes stores what is not stored yet of the indexes, so that they are there at
// once after a restart. The host calls it when the node is about to seal, while it
// can write; it takes a few seconds at most.
func (x *indexes) StoreIndexes(ctx context.Context) {
	for _, p := range x.regime.Load().prints {
		p.storeNow(ctx)
	}
}

// storeNow stores what it can in a few seconds. What it cannot is read at the next start.
func (p *print) storeNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := p.store(ctx, time.Now()); err != nil {
		p.in.below.Logger.Info("the index of the replicated content could not be stored, so a part of the content is read at the next start", "mode", p.mode, "error", err)
	}
}

// signal wakes who waits for it, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// invalidate makes the fingerprint unknown and has it computed anew.
func (p *print) invalidate() {
	p.index.Invalidate()
	signal(p.unknown)
}

// Sums, Confirmed and Grown implement secondary.Index.
func (p *print) Sums() *fingerprint.Index { return p.index }
func (p *print) Confirmed() bool          { return p.confirmed.Load() }
func (p *print) Grown()                   { signal(p.grown) }
