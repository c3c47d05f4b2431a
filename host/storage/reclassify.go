// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Reclassify must be called when the classes of the keys of views have changed: when
// keyclass.Mounts has learned what they are. It returns when no write that was classified before is under way, and has
// then
//
//   - journalled the keys that are there, with their present values, for the
//     secondaries that did not get them when they were written,
//   - made the fingerprint unknown, and begun to compute it anew, if there are
//     any keys.
//
// The order for a new mount is: Mounts learns of it, Reclassify, and then its
// table is written. It can be repeated after an error.
//
// DR replication has keys of views whatever is known of them, so only performance
// replication is concerned.
func (p *primary) Reclassify(ctx context.Context, prefixes ...string) error {
	for _, prefix := range prefixes {
		if view, _, ok := keyclass.SplitView(prefix); !ok || view != prefix {
			return replication.Errorf(replication.InvalidInput, "%q is no view of a mount, so the classes of its keys do not "+
				"change", prefix)
		}
	}
	if len(prefixes) == 0 {
		return nil
	}
	if err := p.fence(ctx); err != nil {
		return err
	}
	for _, prefix := range prefixes {
		held := p.held.take(prefix)
		if err := p.reclassify(ctx, prefix, held); err != nil {
			p.held.putBack(prefix, held)
			return fmt.Errorf("keys below %s: %w", prefix, err)
		}
	}
	p.indexes.SettleClasses()
	return nil
}

// fence returns when all writes that began before are over.
func (wp *writePath) fence(ctx context.Context) error {
	wp.control.Lock()
	defer wp.control.Unlock()
	return wp.change(ctx, func(*writeMode) {})
}

func (p *primary) reclassify(ctx context.Context, prefix string, held *heldView) error {
	w, err := walk.Below(ctx, p.below.Inner, prefix)
	if err != nil {
		return err
	}
	any := func(key string) bool { return p.below.Classes().Class(key) != keyclass.Own }
	first := true
	for {
		keys, err := w.Group(ctx, any, "")
		if err != nil {
			return err
		}
		if first && (len(keys) > 0 || held != nil) {
			if err := p.lostCount(ctx); err != nil {
				return err
			}
		}
		first = false
		if len(keys) == 0 {
			break
		}
		if err := p.journalAgain(ctx, keys); err != nil {
			return err
		}
	}
	if held == nil {
		return nil
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(held.deleted)), walk.GroupSize) {
		if err := p.journalAgain(ctx, keys); err != nil {
			return err
		}
	}
	if j := p.writeMode.Load().journal; j != nil && held.tooMany {
		j.incomplete(replication.Performance)
	}
	return nil
}

// lostCount invalidates the index, which does not know what it has counted of a view whose
// classes have changed.
func (wp *writePath) lostCount(ctx context.Context) error {
	x := wp.writeMode.Load().indexes[replication.Performance]
	if x == nil {
		return nil
	}
	x.Invalidate()
	return x.InvalidateStored(ctx)
}

// journalAgain makes rows of keys as they are now.
func (p *primary) journalAgain(ctx context.Context, keys []string) error {
	r := p.enter()
	defer r.leave()
	if r.journal == nil {
		return nil
	}
	wanted := make([]string, 0, len(keys))
	for _, key := range keys {
		if _, ok := r.modes[replication.Performance]; ok && inMode(p.below.Classes().Class(key), replication.Performance) {
			wanted = append(wanted, key)
		}
	}
	return p.journalKeys(ctx, r, wanted)
}

// incomplete says that the rows of a mode up to now lack something that cannot be
// made up for: whoever has not read them all has to copy, and so has who has.
func (r *retention) incomplete(mode replication.Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lacking == nil {
		r.lacking = map[replication.Mode]uint64{}
	}
	r.lacking[mode] = r.seq.Allocated()
}

// complete is an error if the rows after a position do not lead to the content, or
// if the slot that is to retain them does not any more.
func (r *retention) complete(mode replication.Mode, id string, after uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(mode, id); err != nil {
		return err
	}
	if lacking := r.lacking[mode]; after < lacking {
		return replication.Errorf(replication.PositionLost,
			"the journal lacks deletions up to %d, of a mount that was not known then: the secondary has to compare and copy",
			lacking)
	}
	return nil
}
