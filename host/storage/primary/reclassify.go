// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/held"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// reclassifyRetryMin and reclassifyRetryMax bound the time between attempts.
const reclassifyRetryMin, reclassifyRetryMax = 20 * time.Millisecond, 2 * time.Second

// changedViews are the views whose keys have other classes since the indexes have counted them. Make it with
// newChangedViews.
type changedViews struct {
	turn lock.Turns // of who deals with them
	mu   sync.Mutex
	due  map[string]struct{}
}

func newChangedViews() *changedViews {
	return &changedViews{turn: make(lock.Turns, 1), due: map[string]struct{}{}}
}

func (c *changedViews) add(prefixes ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, prefix := range prefixes {
		c.due[prefix] = struct{}{}
	}
}

func (c *changedViews) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.due) > 0
}

// take returns and forgets what is due, in order.
func (c *changedViews) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := slices.Sorted(maps.Keys(c.due))
	clear(c.due)
	return due
}

// Reclassify must be called after keyclass.Mounts has learned the classes of the keys of views. It waits until no write
// with a former class is under way. Then it has
//
//   - journalled the keys of the views, with their present values, for the secondaries that did not get them when they
//     were written,
//   - invalidated the fingerprint and begun to compute it anew, if there are such keys.
//
// The order for a new mount is: Mounts learns of it, Reclassify is called, the table is written. After an error the
// views stay due: the next call deals with them too, even a call without views, and so does the journal by itself, as
// long as it lasts. The classes have changed all the same, so what the indexes and secondaries have must follow them.
//
// This concerns only the modes in which the class of a key depends on its mount. The other modes replicate keys of
// views in any case.
func (p *Primary) Reclassify(ctx context.Context, prefixes ...string) error {
	for _, prefix := range prefixes {
		if view, _, ok := keyclass.SplitView(prefix); !ok || view != prefix {
			return replication.Errorf(replication.InvalidInput, "%q is no view of a mount, so the classes of its keys do not "+
				"change", prefix)
		}
	}
	p.changed.add(prefixes...)
	err := p.reclassifyDue(ctx)
	if err != nil {
		p.reclassifyLater()
	}
	return err
}

// reclassifyLater tries again until nothing is due or the journal ends.
func (p *Primary) reclassifyLater() {
	now := p.now.Load()
	if now == nil || !p.changed.any() {
		return
	}
	go func() {
		retry := pause.Growing(reclassifyRetryMin, reclassifyRetryMax)
		for pause.For(now.Lifetime(), retry.NextBackOff()) == nil {
			if p.reclassifyDue(now.Lifetime()) == nil {
				return
			}
		}
	}()
}

// reclassifyDue deals with the views that are due.
func (p *Primary) reclassifyDue(ctx context.Context) error {
	done, err := p.changed.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	// A view whose classes change from now on becomes due again: the fence does not cover its writes.
	due := p.changed.take()
	defer func() { p.changed.add(due...) }()
	if len(due) == 0 {
		return nil
	}
	if err := p.needs.Writes.Fence(ctx); err != nil {
		return err
	}
	classes := p.needs.Below.Classes()
	for len(due) > 0 {
		prefix := due[0]
		was := p.needs.Held.Take(prefix)
		err := p.reclassify(ctx, prefix, was)
		if any := prefix + "key"; err != nil || classes.Held(any) && !classes.Orphan(any) {
			p.needs.Held.PutBack(prefix, was)
		}
		if err != nil {
			return fmt.Errorf("keys below %s: %w", prefix, err)
		}
		due = due[1:]
	}
	p.needs.Indexes.SettleClasses()
	return nil
}

func (p *Primary) reclassify(ctx context.Context, prefix string, was *held.View) error {
	w, err := walk.Below(ctx, p.needs.Below.Inner, prefix)
	if err != nil {
		return err
	}
	any := func(key string) bool { return p.needs.Below.Classes().Class(key) != keyclass.Own }
	keys, err := w.Group(ctx, any, "")
	if err != nil {
		return err
	}
	if len(keys) > 0 || was != nil {
		// Nobody knows which keys of the view the indexes have counted.
		for _, m := range keyclass.ModesByMount {
			if err := p.needs.Indexes.Invalidate(ctx, m); err != nil {
				return err
			}
		}
	}
	for len(keys) > 0 {
		if err := p.journalAgain(ctx, keys); err != nil {
			return err
		}
		if keys, err = w.Group(ctx, any, ""); err != nil {
			return err
		}
	}
	if was == nil {
		return nil
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(was.Deleted)), walk.GroupSize) {
		if err := p.journalAgain(ctx, keys); err != nil {
			return err
		}
	}
	if now := p.now.Load(); now != nil && was.TooMany {
		for _, m := range keyclass.ModesByMount {
			now.kept.Incomplete(m)
		}
	}
	return nil
}

// journalAgain makes rows of keys with their present values, for the modes that did not get them.
func (p *Primary) journalAgain(ctx context.Context, keys []string) error {
	now := p.now.Load()
	if now == nil {
		return nil
	}
	wanted := make([]string, 0, len(keys))
	for _, key := range keys {
		class := p.needs.Below.Classes().Class(key)
		if slices.ContainsFunc(keyclass.ModesByMount, func(m replication.Mode) bool {
			_, ok := now.modes[m]
			return ok && keyclass.InMode(class, m)
		}) {
			wanted = append(wanted, key)
		}
	}
	return p.needs.Writes.JournalKeys(ctx, wanted)
}
