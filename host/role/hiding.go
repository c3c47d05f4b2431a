// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-replication/vault-replication/host/filter"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// hidingKey keeps what a secondary has taken up of its filter. What is stored of the
// filter and the tables may be newer: a secondary that was killed in between compares
// the two when it starts.
const hidingKey = recordPrefix + "hiding"

// hiding is what a performance secondary hides from its core: what its filter
// leaves out, and what the filter has let in and the copy has not brought yet.
// Mounts are by UUID.
type hiding struct {
	// id is the name of the secondary whose filter it is.
	id      string
	filter  *filter.Filter
	hidden  map[string]bool
	awaited map[string]bool

	// kept says that the storage has this, and forced that the copy which brings what
	// is awaited is forced there.
	kept, forced bool
}

// storedHiding is the stored form.
type storedHiding struct {
	ID      string       `json:"id,omitempty"`
	Filter  *filter.Rule `json:"filter,omitempty"`
	Hidden  []string     `json:"hidden,omitempty"`
	Awaited []string     `json:"awaited,omitempty"`
}

func (h *hiding) encode() ([]byte, error) {
	s := &storedHiding{ID: h.id, Hidden: slices.Sorted(maps.Keys(h.hidden)), Awaited: slices.Sorted(maps.Keys(h.awaited))}
	if h.filter != nil {
		s.Filter = &h.filter.Rule
	}
	return json.Marshal(s)
}

func decodeHiding(raw []byte) (*hiding, error) {
	var s storedHiding
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("what this secondary has taken up of its paths filter cannot be read: %w", err)
	}
	h := &hiding{id: s.ID, hidden: setOf(s.Hidden), awaited: setOf(s.Awaited), kept: true, forced: true}
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
func (h *hiding) sameAs(o *hiding) bool {
	same := func(a, b *filter.Filter) bool {
		return a == b || (a != nil && b != nil && a.Revision == b.Revision && a.Mode == b.Mode && slices.Equal(a.Paths, b.Paths))
	}
	return h.id == o.id && same(h.filter, o.filter) && maps.Equal(h.hidden, o.hidden) && maps.Equal(h.awaited, o.awaited)
}

// reviewed is what is hidden when the filter and the tables are now these, given what
// was hidden before; nil is a secondary that has taken up nothing yet. What was hidden
// and is not any more is awaited until a new copy has brought it: it was never sent.
// So is a mount that has come with the filter that lets it in, and that the one before
// would have hidden; and one that a filter in between has hidden, which this secondary
// has not seen: what came meanwhile was left out of the stream.
func reviewed(old *hiding, id string, f *filter.Filter, hidden, visible map[string]string) (h *hiding, widened bool) {
	h = &hiding{id: id, filter: f, hidden: make(map[string]bool, len(hidden)), awaited: map[string]bool{}, forced: true}
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

// Hides says whether this cluster, a performance secondary, treats a mount of its
// primary as absent.
func (c *Controller) Hides(path, uuid string) bool {
	h := c.hiding.Load()
	return h != nil && (h.filter.Hides(path) || h.awaited[uuid])
}

// loadHiding takes up the own filter of a performance secondary, before its core
// reads the mount tables. It writes nothing, for the node may not lead.
func (c *Controller) loadHiding(ctx context.Context, id string) error {
	raw, err := c.core.GetEntry(ctx, hidingKey)
	if err != nil {
		return err
	}
	var old *hiding
	if raw != nil {
		if old, err = decodeHiding(raw); err != nil {
			return err
		}
	}
	h, _, err := c.hidingNow(ctx, old, id)
	if err != nil {
		return err
	}
	c.hiding.Store(h)
	return nil
}

// hidingNow is what is hidden by what the storage has.
func (c *Controller) hidingNow(ctx context.Context, old *hiding, id string) (h *hiding, widened bool, err error) {
	f, err := c.storedFilter(ctx, id)
	if err != nil {
		return nil, false, err
	}
	hidden, visible, err := c.hiddenBy(ctx, f)
	if err != nil {
		return nil, false, err
	}
	h, widened = reviewed(old, id, f, hidden, visible)
	return h, widened, nil
}

// settleHiding makes durable, where this node may write, what loadHiding has found:
// a copy for what is awaited is forced first, and what is hidden kept after it. Cut
// in between, the next start finds the same.
func (c *Controller) settleHiding(ctx context.Context) error {
	h := c.hiding.Load()
	if h == nil {
		return nil
	}
	if len(h.awaited) > 0 {
		cur, err := c.tap.Secondary(replication.Performance).Cursor(ctx)
		if err != nil {
			return err
		}
		if needsCopy(h, cur.Copying) {
			if err := c.tap.Secondary(replication.Performance).ForceCopy(ctx); err != nil {
				return err
			}
		}
	}
	if h.kept && h.forced {
		return nil
	}
	return c.keepHiding(ctx, h)
}

// needsCopy says whether what is awaited needs a copy to be forced: one that was under
// way when this node started brings what was awaited before, not what has come since.
func needsCopy(h *hiding, copying bool) bool { return len(h.awaited) > 0 && (!h.forced || !copying) }

// keepHiding makes it durable, then the present one.
func (c *Controller) keepHiding(ctx context.Context, h *hiding) error {
	if !h.kept {
		raw, err := h.encode()
		if err != nil {
			return err
		}
		if err := c.core.PutEntry(ctx, hidingKey, raw); err != nil {
			return err
		}
	}
	kept := *h
	kept.kept, kept.forced = true, true
	c.hiding.Store(&kept)
	return nil
}

// reviewHiding runs on a performance secondary when its filter or a mount table has
// come. The copy is forced before what is hidden is kept, and so before anything that
// the next range or frame brings: a copy that ends now has not brought what is let in.
func (c *Controller) reviewHiding(ctx context.Context, force func(context.Context) error) error {
	h, widened, err := c.hidingNow(ctx, c.hiding.Load(), c.Record().Performance.SecondaryID)
	if err != nil {
		return err
	}
	if widened {
		if err := force(ctx); err != nil {
			return err
		}
	}
	if err := c.keepHiding(ctx, h); err != nil {
		return err
	}
	if widened {
		c.logger.Info("the paths filter of this secondary lets mounts in that it did not have: they are copied from the primary")
		// The apply that has brought the filter waits for this.
		go c.copyAgain(context.WithoutCancel(ctx))
	}
	return nil
}

// renamed takes up the filter of the id that this secondary has now, and shows the
// core what that leaves, before anything more is applied. It runs within a request,
// which holds the core's state, and so waits for nothing.
func (c *Controller) renamed() {
	c.tap.Secondary(replication.Performance).Owe(filterKey(c.Record().Performance.SecondaryID))
}

// copyAgain begins the copy or comparison that was forced, also where no row comes that
// would be refused.
func (c *Controller) copyAgain(ctx context.Context) {
	if _, err := c.Recover(ctx, replication.Performance); err != nil {
		c.logger.Warn("the copy or comparison that this secondary needs begins with the next session", "error", err)
	}
}

// endAwaiting shows what a copy has brought, and says whether there was anything.
func (c *Controller) endAwaiting(ctx context.Context) (bool, error) {
	old := c.hiding.Load()
	if old == nil || len(old.awaited) == 0 {
		return false, nil
	}
	h := *old
	h.awaited, h.kept = map[string]bool{}, false
	if err := c.keepHiding(ctx, &h); err != nil {
		return false, err
	}
	return true, nil
}
