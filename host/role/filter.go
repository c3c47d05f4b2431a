// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/filter"
	"github.com/vault-replication/vault-replication/host/follow/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// filterPrefix is below which the filters of performance secondaries are, by the
// encoded name of the secondary. They are shared: each secondary reads its own, and
// a DR secondary of the primary has them all.
const filterPrefix = "core/replication-filters/"

// awaitedKey lists the mounts that a secondary's filter has let in and whose
// content the copy that this has begun has yet to bring.
const awaitedKey = recordPrefix + "awaited-mounts"

func filterKey(id string) string { return filterPrefix + encodeName(id) }

var sharedTables = []string{mounttable.Secrets, mounttable.Auth}

// PathsFilter is the filter of a secondary.
func (c *Controller) PathsFilter(ctx context.Context, id string) (*filter.Filter, error) {
	raw, err := c.core.GetEntry(ctx, filterKey(id))
	if err != nil {
		return nil, err
	}
	return filter.Decode(raw)
}

// SetPathsFilter changes the filter of a secondary of this primary.
func (c *Controller) SetPathsFilter(ctx context.Context, id string, f filter.Filter) error {
	if err := c.checkFilter(ctx, id, f); err != nil {
		return err
	}
	raw, err := f.Encode()
	if err != nil {
		return err
	}
	return c.changeFilter(ctx, id, &f, func() error { return c.core.PutEntry(ctx, filterKey(id), raw) })
}

// DeletePathsFilter removes it.
func (c *Controller) DeletePathsFilter(ctx context.Context, id string) error {
	if err := mustBe(c.Record(), replication.Performance, replication.Primary); err != nil {
		return err
	}
	return c.changeFilter(ctx, id, nil, func() error { return c.core.DeleteEntry(ctx, filterKey(id)) })
}

// changeFilter puts a filter in force before it is stored, so that nothing of what
// it leaves out is sent once the secondary knows of it.
func (c *Controller) changeFilter(ctx context.Context, id string, f *filter.Filter, store func() error) error {
	c.filters.Lock()
	defer c.filters.Unlock()
	old, err := c.PathsFilter(ctx, id)
	if err != nil {
		return err
	}
	c.useFilter(id, f)
	if err := store(); err != nil {
		c.useFilter(id, old)
		return replication.Errorf(replication.StorageFailed, "the paths filter could not be stored, and nothing was changed: %w", err)
	}
	return nil
}

// checkFilter refuses what cannot be meant: a name with a typing error would let
// secrets through.
func (c *Controller) checkFilter(ctx context.Context, id string, f filter.Filter) error {
	if err := mustBe(c.Record(), replication.Performance, replication.Primary); err != nil {
		return err
	}
	status, err := c.pluginStatus(ctx, replication.Performance)
	if err != nil {
		return err
	}
	if !slices.Contains(status.KnownSecondaries, id) {
		return replication.Errorf(replication.InvalidInput, "there is no secondary %q of this primary: use the id that was given to secondary-token", id)
	}
	known := map[string]bool{}
	for _, key := range sharedTables {
		table, err := c.core.StoredTable(ctx, key)
		if err != nil {
			return err
		}
		if table == nil {
			continue
		}
		for _, e := range table.Entries {
			known[vaultcore.MountPath(key, e)] = true
		}
	}
	for _, path := range f.Paths {
		switch {
		case filter.System(path):
			return replication.Errorf(replication.InvalidInput, "%s is a system mount and cannot be filtered: leave it out", path)
		case !known[path]:
			return replication.Errorf(replication.InvalidInput, "there is no mount %s here that is replicated: see sys/mounts and sys/auth for their paths", path)
		}
	}
	return nil
}

// pluginStatus asks the plugin of a mode for its sessions.
func (c *Controller) pluginStatus(ctx context.Context, mode replication.Mode) (*replication.Status, error) {
	b, err := c.backend(ctx, mode)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	return b.Status(ctx)
}

// useFilter makes the tap leave out, for one secondary, what a filter hides.
func (c *Controller) useFilter(id string, f *filter.Filter) {
	if f == nil {
		c.tap.SetFilter(replication.Performance, id, nil)
		return
	}
	own := filterKey(id)
	c.tap.SetFilter(replication.Performance, id, func(key string) bool {
		if strings.HasPrefix(key, filterPrefix) {
			// What other secondaries get is no concern of this one.
			return key == own
		}
		view, ok := c.mounts.View(key)
		return !ok || !f.Hides(view.Path)
	})
}

// loadFilters puts the stored filters in force on a primary, before anything is
// sent.
func (c *Controller) loadFilters(ctx context.Context) error {
	c.filters.Lock()
	defer c.filters.Unlock()
	names, err := c.core.ListEntries(ctx, filterPrefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := hex.DecodeString(name)
		if err != nil {
			return fmt.Errorf("the name of the paths filter %q cannot be read: %w", name, err)
		}
		f, err := c.PathsFilter(ctx, string(id))
		if err != nil {
			return fmt.Errorf("secondary %q: %w", id, err)
		}
		c.useFilter(string(id), f)
	}
	return nil
}

// DynamicFilter lists the mounts that the filter of a secondary leaves out now.
func (c *Controller) DynamicFilter(ctx context.Context, id string) ([]string, error) {
	if c.Role(replication.Performance) == replication.Secondary {
		if own := c.Record().Performance.SecondaryID; id != own {
			return nil, replication.Errorf(replication.NotFound, "this secondary is %q and knows nothing of the filter of %q: ask the primary", own, id)
		}
	}
	f, err := c.PathsFilter(ctx, id)
	if err != nil || f == nil {
		return nil, err
	}
	hidden, _, err := c.hiddenBy(ctx, f)
	paths := make([]string, 0, len(hidden))
	for _, path := range hidden {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, err
}

// hiddenBy are the shared mounts that a filter hides, and those that it does not:
// paths by UUID.
func (c *Controller) hiddenBy(ctx context.Context, f *filter.Filter) (hidden, visible map[string]string, err error) {
	hidden, visible = map[string]string{}, map[string]string{}
	for _, key := range sharedTables {
		table, err := c.core.StoredTable(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if table == nil {
			continue
		}
		for _, e := range table.Entries {
			path, into := vaultcore.MountPath(key, e), visible
			if f.Hides(path) {
				into = hidden
			}
			into[e.UUID] = path
		}
	}
	return hidden, visible, nil
}

// hiding is what a performance secondary hides from its core: what its filter
// leaves out, and what the filter has let in and the copy has not brought yet.
type hiding struct {
	filter  *filter.Filter
	hidden  map[string]string
	awaited map[string]bool
}

// missing names the shared mounts whose content this cluster does not have, empty if
// it has all.
func (h *hiding) missing() string {
	if h == nil || len(h.hidden)+len(h.awaited) == 0 {
		return ""
	}
	var names []string
	for _, path := range h.hidden {
		names = append(names, path)
	}
	slices.Sort(names)
	if n := len(h.awaited); n > 0 {
		names = append(names, fmt.Sprintf("%d mounts that a copy has not brought yet", n))
	}
	return "the content of " + strings.Join(names, ", ")
}

// Hides says whether this cluster, a performance secondary, treats a mount of its
// primary as absent.
func (c *Controller) Hides(path, uuid string) bool {
	h := c.hiding.Load()
	return h != nil && (h.filter.Hides(path) || h.awaited[uuid])
}

// ClearHidden deletes what a performance secondary has stored of the mounts that its
// filter hides: it may have been killed before it had done so. What a copy has yet
// to bring is not hidden by the filter any more and stays.
func (c *Controller) ClearHidden(ctx context.Context) error {
	h := c.hiding.Load()
	if h == nil {
		return nil
	}
	for uuid, path := range h.hidden {
		kind := "logical/"
		if strings.HasPrefix(path, "auth/") {
			kind = "auth/"
		}
		deleted, err := c.tap.ClearView(ctx, kind+uuid+"/")
		if err != nil {
			return err
		}
		if deleted > 0 {
			c.logger.Info("deleted what was stored of a mount that the paths filter hides", "path", path, "keys", deleted)
		}
	}
	return nil
}

// loadHiding takes up the own filter of a performance secondary, before its core
// reads the mount tables.
func (c *Controller) loadHiding(ctx context.Context, id string) error {
	f, err := c.PathsFilter(ctx, id)
	if err != nil {
		return err
	}
	h := &hiding{filter: f, awaited: map[string]bool{}}
	if h.hidden, _, err = c.hiddenBy(ctx, f); err != nil {
		return err
	}
	raw, err := c.core.GetEntry(ctx, awaitedKey)
	if err != nil {
		return err
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &h.awaited); err != nil {
			return fmt.Errorf("the list of mounts that a copy has yet to bring cannot be read: %w", err)
		}
	}
	c.hiding.Store(h)
	return nil
}

// reviewHiding runs on a performance secondary when its filter or a mount table has
// come. What was hidden and is not any more stays hidden until a new copy has
// brought its content: it was never sent.
func (c *Controller) reviewHiding(ctx context.Context) error {
	old := c.hiding.Load()
	f, err := c.PathsFilter(ctx, c.Record().Performance.SecondaryID)
	if err != nil {
		return err
	}
	hidden, visible, err := c.hiddenBy(ctx, f)
	if err != nil {
		return err
	}
	h := &hiding{filter: f, hidden: hidden, awaited: map[string]bool{}}
	widened := false
	for uuid := range visible {
		_, was := old.hidden[uuid]
		widened = widened || was
		if was || old.awaited[uuid] {
			h.awaited[uuid] = true
		}
	}
	if len(h.awaited) != len(old.awaited) || widened {
		if err := c.putAwaited(ctx, h.awaited); err != nil {
			return err
		}
	}
	c.hiding.Store(h)
	if widened {
		c.logger.Info("the paths filter of this secondary lets mounts in that it did not have: they are copied from the primary")
		// The apply that has brought the filter waits for this.
		go c.copyAgain(context.WithoutCancel(ctx))
	}
	return nil
}

// copyAgain begins a copy while this secondary serves.
func (c *Controller) copyAgain(ctx context.Context) {
	err := c.tap.ForceCopy(ctx, replication.Performance)
	if err == nil {
		_, err = c.Recover(ctx, replication.Performance)
	}
	if err != nil {
		c.logger.Warn("the copy of what the paths filter has let in begins with the next session", "error", err)
	}
}

// endAwaiting shows the core what a copy has brought, and says whether there was
// anything.
func (c *Controller) endAwaiting(ctx context.Context) (bool, error) {
	old := c.hiding.Load()
	if old == nil || len(old.awaited) == 0 {
		return false, nil
	}
	if err := c.putAwaited(ctx, nil); err != nil {
		return false, err
	}
	h := *old
	h.awaited = map[string]bool{}
	c.hiding.Store(&h)
	return true, nil
}

func (c *Controller) putAwaited(ctx context.Context, awaited map[string]bool) error {
	if len(awaited) == 0 {
		return c.core.DeleteEntry(ctx, awaitedKey)
	}
	raw, err := json.Marshal(awaited)
	if err != nil {
		return err
	}
	return c.core.PutEntry(ctx, awaitedKey, raw)
}

// Sends says whether a secondary of this performance primary has the mount with a
// UUID.
func (c *Controller) Sends(id, uuid string) bool {
	for _, kind := range []string{"logical", "auth"} {
		if view, ok := c.mounts.View(kind + "/" + uuid + "/"); ok {
			return !view.Local && c.tap.Sends(replication.Performance, id, view.Prefix)
		}
	}
	return false
}
