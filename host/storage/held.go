// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"maps"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// heldMax is how many deleted keys are remembered for a view. Beyond it the
// performance secondaries have to copy.
const heldMax = 10_000

// heldViews are the views that were written while their mounts were not known.
// The keys that are there can be found again; those that were deleted, and that
// secondaries may have from before, are remembered.
type heldViews struct {
	mu    sync.Mutex
	views map[string]*heldView
}

type heldView struct {
	deleted map[string]struct{}
	tooMany bool
}

// note says that a held key is about to be written or deleted.
func (h *heldViews) note(key string, deleted bool) {
	prefix, _, ok := keyclass.SplitView(key)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.views[prefix]
	if v == nil {
		v = &heldView{deleted: map[string]struct{}{}}
		if h.views == nil {
			h.views = map[string]*heldView{}
		}
		h.views[prefix] = v
	}
	switch {
	case !deleted:
		delete(v.deleted, key)
	case len(v.deleted) >= heldMax:
		v.tooMany = true
	default:
		v.deleted[key] = struct{}{}
	}
}

// take returns what is remembered of a view, nil if it was not written, and
// forgets it.
func (h *heldViews) take(prefix string) *heldView {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.views[prefix]
	delete(h.views, prefix)
	return v
}

// putBack remembers again what was taken, beside what has come since.
func (h *heldViews) putBack(prefix string, v *heldView) {
	if v == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.views == nil {
		h.views = map[string]*heldView{}
	}
	if now := h.views[prefix]; now != nil {
		maps.Copy(now.deleted, v.deleted)
		now.tooMany = now.tooMany || v.tooMany
		return
	}
	h.views[prefix] = v
}
