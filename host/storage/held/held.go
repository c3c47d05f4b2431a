// SPDX-License-Identifier: MPL-2.0

// Package held remembers which views were written while their mounts were unknown, so that performance secondaries can
// get their keys later.
package held

import (
	"maps"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// most is how many deleted keys are remembered for a view. Beyond it the performance secondaries have to compare.
const most = 10_000

// Views are the views that were written while their mounts were unknown. Their present keys can be found in the
// storage. Their deleted keys, which secondaries may still have, are remembered. The zero value is empty. Safe for
// concurrent use.
type Views struct {
	mu    sync.Mutex
	views map[string]*View
}

// View is what is remembered of one view.
type View struct {
	// Deleted are keys that were deleted. TooMany says that there were more.
	Deleted map[string]struct{}
	TooMany bool
}

// Note says that a key that is held back is about to be written or deleted.
func (h *Views) Note(key string, deleted bool) {
	prefix, _, ok := keyclass.SplitView(key)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.views[prefix]
	if v == nil {
		v = &View{Deleted: map[string]struct{}{}}
		if h.views == nil {
			h.views = map[string]*View{}
		}
		h.views[prefix] = v
	}
	switch {
	case !deleted:
		delete(v.Deleted, key)
	case len(v.Deleted) >= most:
		v.TooMany = true
	default:
		v.Deleted[key] = struct{}{}
	}
}

// Take returns and forgets what is remembered of a view, nil if the view was not written.
func (h *Views) Take(prefix string) *View {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.views[prefix]
	delete(h.views, prefix)
	return v
}

// PutBack remembers again what Take returned, besides what has come since.
func (h *Views) PutBack(prefix string, v *View) {
	if v == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.views == nil {
		h.views = map[string]*View{}
	}
	if now := h.views[prefix]; now != nil {
		maps.Copy(now.Deleted, v.Deleted)
		now.TooMany = now.TooMany || v.TooMany
		return
	}
	h.views[prefix] = v
}
