// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// writeMode is how writes are treated at a time. It is immutable but for the count
// of the writes in it.
type writeMode struct {
	guard   Guard
	journal *activeJournal // nil unless a primary
	modes   map[replication.Mode]ModeConfig
	indexes map[replication.Mode]*index.Index // that are told of writes

	gathering gathering // of writes that are journalled

	watched  [4]bool // by class: journal or a fingerprint wants to see its writes
	watching bool

	inflight atomic.Int64
	retired  atomic.Bool
	once     sync.Once
	done     chan struct{}
}

func newWriteMode(r *writeMode) *writeMode {
	r.done = make(chan struct{})
	watch := func(m replication.Mode) {
		r.watching = true
		for c := range r.watched {
			r.watched[c] = r.watched[c] || keyclass.InMode(keyclass.Class(c), m)
		}
	}
	if r.journal != nil {
		for m := range r.modes {
			watch(m)
		}
	}
	for m := range r.indexes {
		watch(m)
	}
	return r
}

// with makes a write mode from this one; change may replace fields and must not
// change maps.
func (r *writeMode) with(change func(*writeMode)) *writeMode {
	n := &writeMode{guard: r.guard, journal: r.journal, modes: r.modes, indexes: r.indexes}
	change(n)
	return newWriteMode(n)
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

// hold counts once more, for work that outlives the call that entered.
func (r *writeMode) hold() { r.inflight.Add(1) }

func (r *writeMode) leave() {
	if r.inflight.Add(-1) == 0 && r.retired.Load() {
		r.once.Do(func() { close(r.done) })
	}
}

func (r *writeMode) retire() {
	r.retired.Store(true)
	if r.inflight.Load() == 0 {
		r.once.Do(func() { close(r.done) })
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

// modeOf is the configuration of a mode that is journalled.
func (r *writeMode) modeOf(mode replication.Mode) (*activeJournal, ModeConfig, error) {
	cfg, ok := r.modes[mode]
	if r.journal == nil || !ok {
		return nil, cfg, replication.Errorf(replication.Unavailable,
			"this node keeps no journal for %s replication: it is not the active node of a primary", mode)
	}
	return r.journal, cfg, nil
}

func copyMap[V any](m map[replication.Mode]V, change func(map[replication.Mode]V)) map[replication.Mode]V {
	n := make(map[replication.Mode]V, len(m)+1)
	for k, v := range m {
		n[k] = v
	}
	change(n)
	return n
}
