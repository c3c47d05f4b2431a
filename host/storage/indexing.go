// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// checkEvery is how often one range of the index is compared with the storage: one
// of about 256 keys a second is an hour for a million keys, and no load.
const checkEvery = time.Second

// indexing is what is known of the passes over the storage that keep an index.
type indexing struct {
	mu sync.Mutex
	// rebuilding says that a pass over everything is under way, read of how many.
	rebuilding    bool
	read, total   uint64
	rebuilt       time.Time
	checked       time.Time // when the last check of everything ended
	wrong, before bool      // found wrong in the check under way, and in the one before
	at            string    // how far the check in the background is
}

// keep scans, again after a failure and whenever the fingerprint is lost, and
// keeps the ranges of the index small and right.
func (p *print) keep(ctx context.Context, t *Tap) {
	retry := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		err := p.rebuild(ctx, t)
		for err == nil && ctx.Err() == nil && p.index.Known() {
			retry.Reset()
			select {
			case <-p.unknown:
				err = p.rebuild(ctx, t)
			case <-check.C:
				if err := p.tend(ctx, t); err != nil && ctx.Err() == nil {
					t.logger.Warn("a part of the replicated content cannot be checked", "mode", p.mode, "error", err)
				}
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // lost while it was computed
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

// rebuild reads everything once. It ends without an error when the index was
// invalidated meanwhile.
func (p *print) rebuild(ctx context.Context, t *Tap) error {
	select {
	case <-p.unknown: // this is what was asked for
	default:
	}
	_, total := p.index.Root()
	p.indexing.begin(total)
	wrong, done, err := p.pass(ctx, t, "", "", p.indexing.progress)
	p.indexing.ended(done, wrong)
	if wrong {
		t.logger.Error("the storage had something else than was written to it through this server: the fingerprint follows the storage", "mode", p.mode)
	}
	return err
}

// tend cuts ranges that have grown, and checks the next one.
func (p *print) tend(ctx context.Context, t *Tap) error {
	// What a copy writes is cut when it has ended, not while it grows.
	for !t.progress[p.mode].isCopying() {
		after, upTo, ok := p.index.NextCut()
		if !ok {
			break
		}
		if err := p.check(ctx, t, after, upTo); err != nil {
			return err
		}
	}
	after, upTo, ok := p.index.Around(p.indexing.next())
	if !ok {
		return nil
	}
	if err := p.check(ctx, t, after, upTo); err != nil {
		return err
	}
	p.indexing.checkedUpTo(upTo)
	return nil
}

// check reads one range anew.
func (p *print) check(ctx context.Context, t *Tap, after, upTo string) error {
	wrong, _, err := p.pass(ctx, t, after, upTo, nil)
	if wrong {
		p.indexing.found()
		t.logger.Error("a part of the storage has something else than was written to it through this server: the fingerprint follows the storage",
			"mode", p.mode, "after", after, "up_to", upTo)
	}
	return err
}

// pass reads what is after a key, up to another one, and puts it into the index.
// Wrong says that the index had something else there. It is not done, without an
// error, when the index was invalidated meanwhile.
func (p *print) pass(ctx context.Context, t *Tap, after, upTo string, progress func(keys int)) (wrong, done bool, err error) {
	pass := p.index.Begin(after, upTo)
	defer pass.End()
	w, err := newWalk(ctx, t.inner, after)
	if err != nil {
		return false, false, err
	}
	in := func(key string) bool { return t.classes.Replicated(p.mode, key) }
	for pass.Current() {
		keys, err := w.group(ctx, in, upTo)
		if err != nil {
			return false, false, err
		}
		if len(keys) == 0 {
			break
		}
		if err := readPass(ctx, t, pass, keys); err != nil {
			return false, false, err
		}
		if progress != nil {
			progress(len(keys))
		}
	}
	for {
		done, wrong, ok := pass.Finish()
		if done || !ok {
			return wrong, done, nil
		}
		for {
			key, ok := pass.NextCreated()
			if !ok {
				break
			}
			if err := readPass(ctx, t, pass, []string{key}); err != nil {
				return false, false, err
			}
		}
	}
}

// readPass counts a run of keys, in order, and those that were created among
// them since they were listed. Their locks are held so that each write of one of
// them is either read here or told to the pass, never both.
func readPass(ctx context.Context, t *Tap, pass *fingerprint.Pass, keys []string) error {
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
		created, ok := pass.Advance(keys[len(keys)-1])
		if ok && len(created) == 0 {
			values, err := t.getAll(ctx, keys)
			if err == nil {
				pass.Add(keys, values)
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

func (i *indexing) begin(total uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rebuilding, i.read, i.total = true, 0, total
}

func (i *indexing) progress(keys int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.read += uint64(keys)
	i.total = max(i.total, i.read)
}

func (i *indexing) ended(done, wrong bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rebuilding = false
	if done {
		now := time.Now()
		i.rebuilt, i.checked, i.wrong, i.before, i.at = now, now, false, wrong, ""
	}
}

// next is a key of the range that is checked next.
func (i *indexing) next() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.at + "\x00"
}

func (i *indexing) checkedUpTo(upTo string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.at = upTo; upTo == "" {
		i.checked, i.before, i.wrong = time.Now(), i.wrong, false
	}
}

func (i *indexing) found() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wrong = true
}
