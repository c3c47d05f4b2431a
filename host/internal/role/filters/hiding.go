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

// HidingKey keeps what a secondary has taken up of its filter. What is stored of the
// filter and the tables may be newer: a secondary that was killed in between compares
// the two when it starts.
const HidingKey = vaultname.Replication + "hiding"

// state is what a performance secondary hides from its core: what its filter
// leaves out, and what the filter has let in and the copy has not brought yet.
// Mounts are by UUID.
type state struct {
	// id is the name of the secondary whose filter it is.
	id      string
	filter  *filter.Filter
	hidden  map[string]bool
	awaited map[string]bool

	// kept says that the storage has this, and forced that the copy which brings what
	// is awaited is forced there.
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

// reviewed is what is hidden when the filter and the tables are now these, given what
// was hidden before; nil is a secondary that has taken up nothing yet. What was hidden
// and is not any more is awaited until a new copy has brought it: it was never sent.
// So is a mount that has come with the filter that lets it in, and that the one before
// would have hidden; and one that a filter in between has hidden, which this secondary
// has not seen: what came meanwhile was left out of the stream.
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

// NewHiding makes it. CopyAgain begins the copy or comparison that was forced; it is
// called in a goroutine of its own.
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

// Load takes up the own filter of a performance secondary, before its core
// reads the mount tables. It writes nothing, for the node may not lead.
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

// read is what is hidden by what the storage has.
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

// Settle makes durable, where this node may write, what Load has found:
// a copy for what is awaited is forced first, and what is hidden kept after it. Cut
// in between, the next start finds the same.
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

// needsCopy says whether what is awaited needs a copy to be forced: one that was under
// way when this node started brings what was awaited before, not what has come since.
func needsCopy(s *state, copying bool) bool { return len(s.awaited) > 0 && (!s.forced || !copying) }

// keep makes it durable, then the present one.
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

// Review runs on a performance secondary when its filter or a mount table has
// come. The copy is forced before what is hidden is kept, and so before anything that
// the next range or frame brings: a copy that ends now has not brought what is let in.
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
		// The apply that has brought the filter waits for this.
		go h.copyAgain(context.WithoutCancel(ctx))
	}
	return nil
}

// EndAwaiting shows what a copy has brought, and says whether there was anything.
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
