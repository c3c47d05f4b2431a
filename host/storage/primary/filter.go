// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// allowed says whether a slot's secondary may have a key.
type allowed func(key string) bool

// SetFilter restricts the secondary of a slot to keys that allow accepts; nil removes the filter. Frames and ranges
// that are made after it returns leave out values and names of all other keys. They also leave out keys of views that
// no mount table has, because nobody can say whether the secondary may have them.
//
// The caller removes keys that the secondary may not have any more, and brings those that it may have now: see
// ForceCopy.
func (fs *filters) SetFilter(ctx context.Context, mode replication.Mode, slotID string,
	allow func(key string) bool) error {
	return fs.ChangeFilter(ctx, mode, slotID, allow, func() error { return nil })
}

// ChangeFilter changes the filter together with its stored record: no frame or range is made while only one of them has
// changed. It must not be called within a read.
func (fs *filters) ChangeFilter(ctx context.Context, mode replication.Mode, slotID string,
	allow func(key string) bool, store func() error) error {
	done, err := fs.made.Alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := store(); err != nil {
		return err
	}
	fs.setFilter(filterKey{mode, slotID}, allow)
	return nil
}

func (fs *filters) setFilter(slot filterKey, allow func(key string) bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if allow == nil {
		delete(fs.of, slot)
		return
	}
	fs.of[slot] = func(key string) bool { return !fs.classes.Unmounted(key) && allow(key) }
}

// filters are the filters of the slots. Frames, ranges and answers are made inside the room made, and a filter changes
// while nobody is in it. A caller that only looks a filter up never waits for that.
type filters struct {
	classes *keyclass.Classifier
	made    *lock.Room
	mu      sync.Mutex // held for a moment
	of      map[filterKey]allowed
}

func (fs *filters) get(mode replication.Mode, slot string) allowed {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.of[filterKey{mode, slot}]
}

type filterKey struct {
	mode replication.Mode
	slot string
}

// lets says whether a filter lets a key in; nil lets in every key.
func (allow allowed) lets(key string) bool { return allow == nil || allow(key) }

// Sends says whether the filter of a slot lets a key in.
func (fs *filters) Sends(mode replication.Mode, slotID, key string) bool {
	return fs.get(mode, slotID).lets(key)
}

// Filtered says whether a slot has a filter. If so, the fingerprint of all content does not apply to its secondary.
func (fs *filters) Filtered(mode replication.Mode, slotID string) bool {
	return fs.get(mode, slotID) != nil
}

// with calls f with the filter of a slot, nil for none. The filter does not change meanwhile.
func (fs *filters) with(ctx context.Context, mode replication.Mode, slot string, f func(allowed) error) error {
	leave, err := fs.made.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f(fs.get(mode, slot))
}
