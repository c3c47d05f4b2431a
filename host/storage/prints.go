// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// print is the fingerprint of a mode, with the task that keeps it.
type print struct {
	mode    replication.Mode
	key     fingerprint.Key
	index   *fingerprint.Index
	cancel  context.CancelFunc
	done    chan struct{}
	unknown chan struct{} // asks for a scan
	grown   chan struct{} // says that the index has too few cuts

	indexing indexing
	round    round // of keep alone
}

// StartFingerprint begins to keep the fingerprint of a mode's content: a scan in
// the background, during which the fingerprint is unknown, and then with every
// write. The host calls it when the node becomes active in a role of the mode.
// With the key that is in use already it does nothing.
func (t *Tap) StartFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	t.control.Lock()
	defer t.control.Unlock()
	return t.startFingerprint(ctx, mode, key)
}

// StopFingerprint ends that. The host calls it when the node gives up its role:
// the fingerprint cannot follow what another node writes.
func (t *Tap) StopFingerprint(ctx context.Context, mode replication.Mode) error {
	t.control.Lock()
	defer t.control.Unlock()
	return t.stopFingerprint(ctx, mode)
}

// Fingerprint is that of a mode's content now, with the number of its keys; nil
// and 0 while it is not known.
func (t *Tap) Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64) {
	p := t.regime.Load().prints[mode]
	if p == nil {
		return nil, 0
	}
	return p.index.Root()
}

func (t *Tap) startFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if old := t.regime.Load().prints[mode]; old != nil {
		if old.key == key {
			return nil
		}
		if err := t.stopFingerprint(ctx, mode); err != nil {
			return err
		}
	}
	p := &print{
		mode: mode, key: key, index: fingerprint.NewIndex(fingerprint.NewHasher(key)),
		done: make(chan struct{}), unknown: make(chan struct{}, 1), grown: make(chan struct{}, 1),
	}
	// Scanning begins when every write is one that the index is told of.
	err := t.change(ctx, func(r *regime) {
		r.prints = copyMap(r.prints, func(m map[replication.Mode]*print) { m[mode] = p })
	})
	scanCtx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if err != nil {
		cancel()
		close(p.done)
		return err
	}
	go func() {
		defer close(p.done)
		p.keep(scanCtx, t)
	}()
	return nil
}

func (t *Tap) stopFingerprint(ctx context.Context, mode replication.Mode) error {
	p := t.regime.Load().prints[mode]
	if p == nil {
		return nil
	}
	err := t.change(ctx, func(r *regime) {
		r.prints = copyMap(r.prints, func(m map[replication.Mode]*print) { delete(m, mode) })
	})
	p.cancel()
	<-p.done
	return err
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
