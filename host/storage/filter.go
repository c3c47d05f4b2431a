// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// allowed says whether a slot's secondary may have a key.
type allowed func(key string) bool

// SetFilter restricts what the secondary of a slot gets of a mode's content to
// keys that allow accepts; nil removes the filter. Frames and ranges that are
// made after it returns are filtered, values and names of keys alike. Keys of
// views that no mount table has are left out for a filtered secondary: nobody
// can say whether it may have them.
//
// What a secondary has got before, or lacks now that it is allowed more, is for
// the caller to mend: see ForceCopy.
func (t *Tap) SetFilter(mode replication.Mode, slotID string, allow func(key string) bool) {
	t.filters.mu.Lock()
	defer t.filters.mu.Unlock()
	t.setFilter(filterKey{mode, slotID}, allow)
}

// ChangeFilter is SetFilter together with the record that says so: no frame or range
// is made before both have changed, or neither. It must not be called within a read.
func (t *Tap) ChangeFilter(mode replication.Mode, slotID string, allow func(key string) bool, store func() error) error {
	t.filters.mu.Lock()
	defer t.filters.mu.Unlock()
	if err := store(); err != nil {
		return err
	}
	t.setFilter(filterKey{mode, slotID}, allow)
	return nil
}

func (t *Tap) setFilter(slot filterKey, allow func(key string) bool) {
	if allow == nil {
		delete(t.filters.of, slot)
		return
	}
	if t.filters.of == nil {
		t.filters.of = map[filterKey]allowed{}
	}
	t.filters.of[slot] = func(key string) bool { return !t.classes.Homeless(key) && allow(key) }
}

// filters are those of the slots. Who reads holds the lock until the frame or
// range is made.
type filters struct {
	mu sync.RWMutex
	of map[filterKey]allowed
}

type filterKey struct {
	mode replication.Mode
	slot string
}

// lets says whether a filter, which may be nil, lets a key through.
func (allow allowed) lets(key string) bool { return allow == nil || allow(key) }

// Sends says whether the filter of a slot lets a key through.
func (t *Tap) Sends(mode replication.Mode, slotID, key string) (sends bool) {
	_ = t.filters.with(mode, slotID, func(allow allowed) error {
		sends = allow.lets(key)
		return nil
	})
	return sends
}

// Filtered says whether a slot has a filter, so that the fingerprint of all content says
// nothing of what its secondary has.
func (t *Tap) Filtered(mode replication.Mode, slotID string) bool {
	t.filters.mu.RLock()
	defer t.filters.mu.RUnlock()
	return t.filters.of[filterKey{mode, slotID}] != nil
}

// with calls f with the filter of a slot, nil if it has none, which does not change
// meanwhile.
func (fs *filters) with(mode replication.Mode, slot string, f func(allowed) error) error {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return f(fs.of[filterKey{mode, slot}])
}
