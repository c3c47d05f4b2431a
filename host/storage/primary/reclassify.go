// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-replication/vault-replication/host/storage/held"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Reclassify must be called after keyclass.Mounts has learned the classes of the keys of views. It waits until no write
// with a former class is under way. Then it has
//
//   - journalled the keys of the views, with their present values, for the secondaries that did not get them when they
//     were written,
//   - invalidated the fingerprint and begun to compute it anew, if there are such keys.
//
// The order for a new mount is: Mounts learns of it, Reclassify is called, the table is written. After an error
// Reclassify can be repeated.
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
	if len(prefixes) == 0 {
		return nil
	}
	if err := p.needs.Writes.Fence(ctx); err != nil {
		return err
	}
	for _, prefix := range prefixes {
		was := p.needs.Held.Take(prefix)
		if err := p.reclassify(ctx, prefix, was); err != nil {
			p.needs.Held.PutBack(prefix, was)
			return fmt.Errorf("keys below %s: %w", prefix, err)
		}
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
