// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/filter"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func filterKey(id string) string { return vaultname.ReplicationFilters + encodeName(id) }

var sharedTables = []string{vaultname.Mounts, vaultname.Auth}

// storedFilter is the record of a secondary's filter, nil if there has never been one.
func (c *Controller) storedFilter(ctx context.Context, id string) (*filter.Filter, error) {
	raw, err := c.core.GetEntry(ctx, filterKey(id))
	if err != nil {
		return nil, err
	}
	return filter.Decode(raw)
}

// PathsFilter is the filter of a secondary.
func (c *Controller) PathsFilter(ctx context.Context, id string) (*filter.Rule, error) {
	f, err := c.storedFilter(ctx, id)
	if err != nil || f == nil || f.Mode == filter.None {
		return nil, err
	}
	return &f.Rule, nil
}

// SetPathsFilter changes the filter of a secondary of this primary.
func (c *Controller) SetPathsFilter(ctx context.Context, id string, r filter.Rule) error {
	if err := c.checkFilter(ctx, id, r); err != nil {
		return err
	}
	return c.changeFilter(ctx, id, r)
}

// DeletePathsFilter removes it. Its record stays: a secondary that sees the next
// filter only is to know that this one is gone.
func (c *Controller) DeletePathsFilter(ctx context.Context, id string) error {
	if err := mustBe(c.Record(), replication.Performance, replication.Primary); err != nil {
		return err
	}
	return c.changeFilter(ctx, id, filter.Rule{Mode: filter.None})
}

// changeFilter puts a filter in force while it is stored, so that nothing of what it
// leaves out is sent once the secondary knows of it, and nothing left out without its
// knowledge.
func (c *Controller) changeFilter(ctx context.Context, id string, r filter.Rule) error {
	c.filters.Lock()
	defer c.filters.Unlock()
	old, err := c.storedFilter(ctx, id)
	if err != nil || old == nil && r.Mode == filter.None {
		return err
	}
	f := filter.Following(old, r)
	raw, err := f.Encode()
	if err != nil {
		return err
	}
	err = c.tap.ChangeFilter(replication.Performance, id, c.allows(id, f), func() error { return c.core.PutEntry(ctx, filterKey(id), raw) })
	if err != nil {
		return replication.Errorf(replication.StorageFailed, "the paths filter could not be stored, and nothing was changed: %w", err)
	}
	return nil
}

// checkFilter refuses what cannot be meant: a name with a typing error would let
// secrets through.
func (c *Controller) checkFilter(ctx context.Context, id string, r filter.Rule) error {
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
			known[vaultname.RequestPath(key, e.Path)] = true
		}
	}
	for _, path := range r.Paths {
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
	c.tap.SetFilter(replication.Performance, id, c.allows(id, f))
}

// allows says which keys a secondary gets; nil if it gets all.
func (c *Controller) allows(id string, f *filter.Filter) func(key string) bool {
	if f == nil || f.Mode == filter.None {
		return nil
	}
	own := filterKey(id)
	return func(key string) bool {
		if strings.HasPrefix(key, vaultname.ReplicationFilters) {
			// What other secondaries get is no concern of this one.
			return key == own
		}
		view, ok := c.mounts.Known().View(key)
		return !ok || !f.Hides(view.Path)
	}
}

// loadFilters puts the stored filters in force on a primary, before anything is
// sent.
func (c *Controller) loadFilters(ctx context.Context) error {
	c.filters.Lock()
	defer c.filters.Unlock()
	names, err := c.core.ListEntries(ctx, vaultname.ReplicationFilters)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := hex.DecodeString(name)
		if err != nil {
			return fmt.Errorf("the name of the paths filter %q cannot be read: %w", name, err)
		}
		f, err := c.storedFilter(ctx, string(id))
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
	f, err := c.storedFilter(ctx, id)
	if err != nil || f == nil || f.Mode == filter.None {
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
			path, into := vaultname.RequestPath(key, e.Path), visible
			if f.Hides(path) {
				into = hidden
			}
			into[e.UUID] = path
		}
	}
	return hidden, visible, nil
}

// Sends says whether a secondary of this performance primary has the mount with a
// UUID.
func (c *Controller) Sends(id, uuid string) bool {
	for _, kind := range []string{"logical", "auth"} {
		if view, ok := c.mounts.Known().View(kind + "/" + uuid + "/"); ok {
			return !view.Local && c.tap.Sends(replication.Performance, id, view.Prefix)
		}
	}
	return false
}
