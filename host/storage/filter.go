// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
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
func (fs *filters) SetFilter(mode replication.Mode, slotID string, allow func(key string) bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.setFilter(filterKey{mode, slotID}, allow)
}

// ChangeFilter is SetFilter together with the record that says so: no frame or range
// is made before both have changed, or neither. It must not be called within a read.
func (fs *filters) ChangeFilter(mode replication.Mode, slotID string, allow func(key string) bool,
	store func() error) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := store(); err != nil {
		return err
	}
	fs.setFilter(filterKey{mode, slotID}, allow)
	return nil
}

func (fs *filters) setFilter(slot filterKey, allow func(key string) bool) {
	if allow == nil {
		delete(fs.of, slot)
		return
	}
	if fs.of == nil {
		fs.of = map[filterKey]allowed{}
	}
	fs.of[slot] = func(key string) bool { return !fs.classes.Unmounted(key) && allow(key) }
}

// filters are those of the slots. Who reads holds the lock until the frame or
// range is made.
type filters struct {
	classes *keyclass.Classifier
	mu      sync.RWMutex
	of      map[filterKey]allowed
}

type filterKey struct {
	mode replication.Mode
	slot string
}

// lets says whether a filter, which may be nil, lets a key through.
func (allow allowed) lets(key string) bool { return allow == nil || allow(key) }

// Sends says whether the filter of a slot lets a key through.
func (fs *filters) Sends(mode replication.Mode, slotID, key string) (sends bool) {
	_ = fs.with(mode, slotID, func(allow allowed) error {
		sends = allow.lets(key)
		return nil
	})
	return sends
}

// Filtered says whether a slot has a filter, so that the fingerprint of all content says
// nothing of what its secondary has.
func (fs *filters) Filtered(mode replication.Mode, slotID string) bool {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.of[filterKey{mode, slotID}] != nil
}

// with calls f with the filter of a slot, nil if it has none, which does not change
// meanwhile.
func (fs *filters) with(mode replication.Mode, slot string, f func(allowed) error) error {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return f(fs.of[filterKey{mode, slot}])
}
