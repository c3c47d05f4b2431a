// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// print is the fingerprint of a mode, with the task that scans for it.
type print struct {
	mode    replication.Mode
	key     fingerprint.Key
	tracker *fingerprint.Tracker
	cancel  context.CancelFunc
	done    chan struct{}
	unknown chan struct{} // asks for a scan
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
	return p.tracker.Root()
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
		mode: mode, key: key, tracker: fingerprint.NewTracker(fingerprint.NewHasher(key)),
		done: make(chan struct{}), unknown: make(chan struct{}, 1),
	}
	// Scanning begins when every write is one that the tracker is told of.
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

// invalidate makes the fingerprint unknown and has it computed anew.
func (p *print) invalidate() {
	p.tracker.Invalidate()
	select {
	case p.unknown <- struct{}{}:
	default:
	}
}

// keep scans, again after a failure and whenever the fingerprint is lost.
func (p *print) keep(ctx context.Context, t *Tap) {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		err := p.scan(ctx, t)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			retry.Reset()
			select {
			case <-p.unknown:
				continue
			case <-ctx.Done():
				return
			}
		}
		t.logger.Warn("the fingerprint of the replicated content cannot be computed; trying again", "mode", p.mode, "error", err)
		timer := time.NewTimer(retry.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// scan reads all keys once. It ends without an error when the tracker was
// invalidated meanwhile: that asks for the next scan.
func (p *print) scan(ctx context.Context, t *Tap) error {
	scan := p.tracker.BeginScan()
	w, err := newWalk(ctx, t.inner, "")
	if err != nil {
		return err
	}
	in := func(key string) bool { return t.classes.Replicated(p.mode, key) }
	for p.tracker.Current(scan) {
		keys, err := w.group(ctx, in, "")
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		if err := p.scanKeys(ctx, t, scan, keys); err != nil {
			return err
		}
	}
	for {
		done, ok := p.tracker.Finish(scan)
		if done || !ok {
			return nil
		}
		for {
			key, ok := p.tracker.NextCreated(scan, "")
			if !ok {
				break
			}
			if err := p.scanKeys(ctx, t, scan, []string{key}); err != nil {
				return err
			}
		}
	}
}

// scanKeys counts a run of keys, in order, and those that were created among
// them since they were listed. Their locks are held so that each write of one of
// them is either read here or told to the tracker, never both.
func (p *print) scanKeys(ctx context.Context, t *Tap, scan uint64, keys []string) error {
	for {
		lock := slices.Clone(keys)
		if t.txn == nil {
			for _, k := range keys {
				lock = append(lock, basesOf(k)...) // see readAt
			}
		}
		locks, err := t.stripes.lock(ctx, lock...)
		if err != nil {
			return err
		}
		created, ok := p.tracker.Advance(scan, keys[len(keys)-1])
		if ok && len(created) == 0 {
			values, err := t.getAll(ctx, keys)
			if err == nil {
				for i, v := range values {
					if v != nil {
						p.tracker.Add(scan, keys[i], v)
					}
				}
			}
			t.stripes.unlock(locks)
			if err != nil {
				return storageFailed("read keys for the fingerprint", err)
			}
			return nil
		}
		t.stripes.unlock(locks)
		if !ok {
			return nil
		}
		keys = append(slices.Clone(keys), created...)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
}
