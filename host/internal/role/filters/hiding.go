// SPDX-License-Identifier: MPL-2.0

package filters

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// HidingKey has what a secondary has taken up of its filter. The stored filter and tables may be newer, so a secondary
// that was killed in between compares the two when it starts.
const HidingKey = vaultname.Replication + "hiding"

// state has the mounts, by UUID, that a performance secondary hides from its core: those that its filter hides, and
// those that the filter has let in but a copy has not brought yet.
type state struct {
	// id is the name of the secondary whose filter it is.
	id      string
	filter  *filter.Filter
	hidden  map[string]bool
	awaited map[string]bool

	// kept says that this state is stored. forced says that the cursor demands the copy that brings the awaited mounts.
	kept, forced bool
}

// storedState is the stored form.
type storedState struct {
	ID      string       `json:"id,omitempty"`
	Filter  *filter.Rule `json:"filter,omitempty"`
	Hidden  []string     `json:"hidden,omitempty"`
	Awaited []string     `json:"awaited,omitempty"`
}

func (h *state) encode() ([]byte, error) {
	s := &storedState{ID: h.id, Hidden: slices.Sorted(maps.Keys(h.hidden)), Awaited: slices.Sorted(maps.Keys(h.awaited))}
	if h.filter != nil {
		s.Filter = &h.filter.Rule
	}
	return json.Marshal(s)
}

func decodeState(raw []byte) (*state, error) {
	var s storedState
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("what this secondary has taken up of its paths filter cannot be read: %w", err)
	}
	h := &state{id: s.ID, hidden: setOf(s.Hidden), awaited: setOf(s.Awaited), kept: true, forced: true}
	if s.Filter != nil {
		h.filter = &filter.Filter{Rule: *s.Filter}
	}
	return h, nil
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// sameAs says that the stored form of both is the same.
func (h *state) sameAs(o *state) bool {
	same := func(a, b *filter.Filter) bool {
		return a == b || (a != nil && b != nil && a.Revision == b.Revision && a.Mode == b.Mode &&
			slices.Equal(a.Paths, b.Paths))
	}
	return h.id == o.id && same(h.filter, o.filter) && maps.Equal(h.hidden, o.hidden) && maps.Equal(h.awaited, o.awaited)
}

// reviewed is the new state for the present filter and tables. old is the former state, nil if the secondary has taken
// up nothing yet. Three kinds of mounts are awaited from a new copy, because the stream left out their keys: mounts
// that were hidden and are not any more; new mounts that the former filter would have hidden; and mounts that a filter
// in between has hidden, even if this secondary never saw that filter.
func reviewed(old *state, id string, f *filter.Filter, hidden, visible map[string]string) (h *state, widened bool) {
	h = &state{id: id, filter: f, hidden: make(map[string]bool, len(hidden)), awaited: map[string]bool{}, forced: true}
	for uuid := range hidden {
		h.hidden[uuid] = true
	}
	if old == nil {
		return h, false
	}
	for uuid, path := range visible {
		was := old.hidden[uuid] || old.filter.Hides(path) || (old.id == id && f.HidSince(old.filter.Number(), path))
		widened = widened || was
		if was || old.awaited[uuid] {
			h.awaited[uuid] = true
		}
	}
	h.kept, h.forced = old.kept && h.sameAs(old), old.forced && !widened
	return h, widened
}

// Hiding is what this cluster, while it is a performance secondary, hides from its core.
type Hiding struct {
	filters *Filters
	core    *vaultcore.Core
	tap     *storage.Tap
	logger  hclog.Logger
	// copyAgain begins the copy that was forced.
	copyAgain func(context.Context)
	// now is nil in every other role.
	now atomic.Pointer[state]
}

// NewHiding makes a Hiding. copyAgain begins the copy or comparison that was forced; it is called in a goroutine of its
// own.
func NewHiding(f *Filters, copyAgain func(context.Context), logger hclog.Logger) *Hiding {
	return &Hiding{filters: f, core: f.core, tap: f.tap, copyAgain: copyAgain, logger: logger}
}

// Forget hides nothing any more: the cluster is no performance secondary.
func (h *Hiding) Forget() { h.now.Store(nil) }

// Any says whether there is a filter that hides something.
func (h *Hiding) Any() bool {
	s := h.now.Load()
	return s != nil && s.filter != nil && s.filter.Mode != filter.None
}

// Hides says whether this cluster, a performance secondary, treats a mount of its
// primary as absent.
func (h *Hiding) Hides(path, uuid string) bool {
	s := h.now.Load()
	return s != nil && (s.filter.Hides(path) || s.awaited[uuid])
}

// Load takes up a performance secondary's own filter, before its core reads the mount tables. It writes nothing,
// because the node may not lead.
func (h *Hiding) Load(ctx context.Context, id string) error {
	raw, err := h.core.GetEntry(ctx, HidingKey)
	if err != nil {
		return err
	}
	var old *state
	if raw != nil {
		if old, err = decodeState(raw); err != nil {
			return err
		}
	}
	s, _, err := h.read(ctx, old, id)
	if err != nil {
		return err
	}
	h.now.Store(s)
	return nil
}

// read is the state by the stored filter and tables.
func (h *Hiding) read(ctx context.Context, old *state, id string) (s *state, widened bool, err error) {
	f, err := h.filters.stored(ctx, id)
	if err != nil {
		return nil, false, err
	}
	hidden, visible, err := h.filters.hiddenBy(ctx, f)
	if err != nil {
		return nil, false, err
	}
	s, widened = reviewed(old, id, f, hidden, visible)
	return s, widened, nil
}

// Settle stores what Load has found, if this node may write. First it forces a copy for the awaited mounts, then it
// stores the state. After a crash in between the next start finds the same.
func (h *Hiding) Settle(ctx context.Context) error {
	s := h.now.Load()
	if s == nil {
		return nil
	}
	if len(s.awaited) > 0 {
		cur, err := h.tap.Secondary(h.filters.mode).Cursor(ctx)
		if err != nil {
			return err
		}
		if needsCopy(s, cur.Copying) {
			if err := h.tap.Secondary(h.filters.mode).ForceCopy(ctx); err != nil {
				return err
			}
		}
	}
	if s.kept && s.forced {
		return nil
	}
	return h.keep(ctx, s)
}

// needsCopy says whether a copy must be forced for the awaited mounts. A copy that was under way when this node started
// brings mounts that were awaited before, not later ones.
func needsCopy(s *state, copying bool) bool { return len(s.awaited) > 0 && (!s.forced || !copying) }

// keep stores a state and then puts it in force.
func (h *Hiding) keep(ctx context.Context, s *state) error {
	if !s.kept {
		raw, err := s.encode()
		if err != nil {
			return err
		}
		if err := h.core.PutEntry(ctx, HidingKey, raw); err != nil {
			return err
		}
	}
	kept := *s
	kept.kept, kept.forced = true, true
	h.now.Store(&kept)
	return nil
}

// Review runs on a performance secondary when its filter or a mount table has come. It forces the copy before it stores
// the state, and so before the next range or frame is applied: a copy that ends now has not brought the mounts that
// were let in.
func (h *Hiding) Review(ctx context.Context, force func(context.Context) error) error {
	_, id := h.filters.roles.Here()
	s, widened, err := h.read(ctx, h.now.Load(), id)
	if err != nil {
		return err
	}
	if widened {
		if err := force(ctx); err != nil {
			return err
		}
	}
	if err := h.keep(ctx, s); err != nil {
		return err
	}
	if widened {
		h.logger.Info("the paths filter of this secondary lets mounts in that it did not have: they are copied from the " +
			"primary")
		// In a goroutine, because the apply that brought the filter waits for this call.
		go h.copyAgain(context.WithoutCancel(ctx))
	}
	return nil
}

// EndAwaiting shows the core the mounts that a copy has brought, and says whether there were any.
func (h *Hiding) EndAwaiting(ctx context.Context) (bool, error) {
	old := h.now.Load()
	if old == nil || len(old.awaited) == 0 {
		return false, nil
	}
	s := *old
	s.awaited, s.kept = map[string]bool{}, false
	if err := h.keep(ctx, &s); err != nil {
		return false, err
	}
	return true, nil
}
