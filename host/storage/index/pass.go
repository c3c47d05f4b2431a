// SPDX-License-Identifier: MPL-2.0

package index

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// indexing is the state of the passes over the storage that keep an index.
type indexing struct {
	mu sync.Mutex
	// rebuilding says that a pass over everything is under way: read of about total keys so far.
	rebuilding  bool
	read, total uint64
	rebuilt     time.Time
	// checked is when the last check of everything ended. wrong says whether it found a difference.
	checked time.Time
	wrong   bool
}

// keep scans the storage, again after a failure and whenever the fingerprint is lost. It also cuts ranges that have
// grown, checks the index and stores it.
func (p *Index) keep(ctx context.Context) {
	retry := pause.Growing(20*time.Millisecond, 30*time.Second)
	tend := time.NewTimer(roundEvery)
	defer tend.Stop()
	rest := time.NewTicker(p.of.storeAfter/2 + 1)
	defer rest.Stop()
	defer func() { p.round.end() }()
	for {
		err := p.begin(ctx)
		if !p.confirmed.Load() {
			tend.Reset(0)
		}
		for err == nil && ctx.Err() == nil && p.index.Known() {
			retry.Reset()
			select {
			case <-p.unknown:
				err = p.rebuild(ctx)
			case <-p.grown:
				// During a copy the ranges are not cut, but once after it.
				if p.index.Overgrown() && !p.of.copying(p.mode) {
					err = p.rebuild(ctx)
				}
			case <-tend.C:
				if err := p.round.advance(ctx, p); err != nil && ctx.Err() == nil {
					p.of.below.Logger.Warn("a part of the replicated content cannot be checked", "mode", p.mode, "error", err)
				}
				tend.Reset(p.round.pause(p.confirmed.Load()))
			case now := <-rest.C:
				if err := p.store(ctx, now.Add(-p.of.storeAfter)); err != nil && ctx.Err() == nil {
					p.of.below.Logger.Warn("the index of the replicated content is not stored; trying again", "mode", p.mode, "error",
						err)
				}
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // the index was lost while it was computed
		}
		p.of.below.Logger.Warn("the fingerprint of the replicated content cannot be computed; trying again", "mode", p.mode,
			"error", err)
		if pause.For(ctx, retry.NextBackOff()) != nil {
			return
		}
	}
}

// begin takes the stored blocks of the index, and reads the rest.
func (p *Index) begin(ctx context.Context) error {
	if p.stored.blocks == nil {
		p.unseen.Store(true)
		return p.rebuild(ctx)
	}
	p.indexing.begin(0)
	done, err := p.takeStored(ctx)
	p.indexing.ended(false)
	if err != nil {
		return err // try again: blocks that were written meanwhile are then not taken
	}
	p.stored.blocks = nil
	if !done {
		p.unseen.Store(true)
		return p.rebuild(ctx)
	}
	return nil
}

// rebuild reads everything once. It is no error if the index is invalidated meanwhile.
func (p *Index) rebuild(ctx context.Context) error {
	select {
	case <-p.unknown: // this call answers it
	default:
	}
	if err := p.InvalidateStored(ctx); err != nil {
		// The next write deletes it, and until then the stored index is right.
		p.of.below.Logger.Warn("an index that is stored and not needed any more cannot be deleted", "mode", p.mode, "error",
			err)
	}
	_, total := p.index.Root()
	p.indexing.begin(total)
	r, done, err := p.pass(ctx, p.indexing.progress)
	p.indexing.ended(done)
	if done {
		p.round.end() // this pass has found everything that it could
		p.checked(r.Wrong)
	}
	return err
}

// checked notes the result of a check of everything.
func (p *Index) checked(wrong bool) {
	p.confirmed.Store(true)
	p.indexing.checkEnded(wrong)
	if wrong {
		p.of.below.Logger.Error("the storage has something else than was written to it through this server: the "+
			"fingerprint follows the storage now", "mode", p.mode)
		p.of.wrong(p.mode)
	}
	if !p.of.looked[p.mode].Swap(true) && p.unseen.Load() && !wrong {
		p.of.unseen(p.mode)
	}
}

// pass reads everything at once and puts it into the index. The report says where the index differed. If the index is
// invalidated meanwhile, done is false and there is no error.
func (p *Index) pass(ctx context.Context, progress func(keys int)) (r *Report, done bool, err error) {
	pass := p.index.Begin()
	defer pass.End()
	w, err := walk.New(ctx, p.of.below.Inner, "")
	if err != nil {
		return nil, false, err
	}
	for pass.Current() {
		n, err := readGroup(ctx, p.of, p.mode, pass, w)
		if err != nil {
			return nil, false, err
		}
		if n == 0 {
			break
		}
		if progress != nil {
			progress(n)
		}
	}
	wrong, done, err := finishPass(ctx, p.of, pass)
	return &Report{Wrong: wrong, Ranges: pass.Wrong()}, done, err
}

// readGroup reads the next keys of a pass, 0 if there are none.
func readGroup(ctx context.Context, x *Indexes, mode replication.Mode, pass *fingerprint.Pass, w *walk.Walk) (int,
	error) {
	keys, err := w.Group(ctx, func(key string) bool { return x.below.Classes().Replicated(mode, key) }, "")
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), readPass(ctx, x, pass, keys)
}

// finishPass reads the keys that were created after the last listed key.
func finishPass(ctx context.Context, x *Indexes, pass *fingerprint.Pass) (wrong, done bool, err error) {
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
			if err := readPass(ctx, x, pass, []string{key}); err != nil {
				return false, false, err
			}
		}
	}
}

// readPass counts a run of keys, in order, and the keys that were created among them since they were listed. It holds
// their locks, so that each write of one of them is either read here or told to the pass, never both.
func readPass(ctx context.Context, x *Indexes, pass *fingerprint.Pass, keys []string) error {
	for {
		locks, err := x.below.Keys.Lock(ctx, keys...)
		if err != nil {
			return err
		}
		created, ok := pass.Advance(keys[len(keys)-1])
		if ok && len(created) == 0 {
			// Read past the cache, which does not know what was changed below it.
			values, err := x.below.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
			if err == nil {
				pass.Add(keys, values)
			}
			x.below.Keys.Unlock(locks)
			if err != nil {
				return failure.Storage("read keys for the fingerprint", err)
			}
			return nil
		}
		x.below.Keys.Unlock(locks)
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

func (i *indexing) ended(done bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rebuilding = false
	if done {
		i.rebuilt = time.Now()
	}
}

func (i *indexing) checkEnded(wrong bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.checked, i.wrong = time.Now(), wrong
}
