// SPDX-License-Identifier: MPL-2.0

// Package filters knows which mounts the secondaries of a performance primary get, and
// which ones a performance secondary hides from its own core.
package filters

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Key is the storage key of a secondary's filter. The id is encoded, because an operator chooses it.
func Key(id string) string { return vaultname.ReplicationFilters + hex.EncodeToString([]byte(id)) }

// Filters keeps the paths filters of a performance primary, one for each secondary. A
// secondary gets its own filter from its primary.
type Filters struct {
	mode   replication.Mode
	core   *vaultcore.Core
	tap    *storage.Tap
	mounts *keyclass.Mounts
	roles  Roles

	// changing is the turn to change a filter. Its holder waits for the storage.
	changing lock.Turns
}

// Roles tells what a cluster is in the mode that has filters.
type Roles interface {
	// Here is the role, and the id of this cluster if it is a secondary.
	Here() (is replication.Role, secondaryID string)
	// Registered are the ids of the secondaries that this primary has registered.
	Registered(ctx context.Context) ([]string, error)
}

// New makes the filters of a cluster in a mode.
func New(mode replication.Mode, core *vaultcore.Core, tap *storage.Tap, known *mounts.Learner, roles Roles) *Filters {
	return &Filters{mode: mode, core: core, tap: tap, mounts: known.Known(), roles: roles,
		changing: make(lock.Turns, 1)}
}

func (fs *Filters) mustBePrimary() error {
	is, _ := fs.roles.Here()
	return endpoints.RequireRole(fs.mode, is, replication.Primary)
}

// stored is the record of a secondary's filter, nil if there has never been one.
func (fs *Filters) stored(ctx context.Context, id string) (*filter.Filter, error) {
	raw, err := fs.core.GetEntry(ctx, Key(id))
	if err != nil {
		return nil, err
	}
	return filter.Decode(raw)
}

// PathsFilter is the filter of a secondary.
func (fs *Filters) PathsFilter(ctx context.Context, id string) (*filter.Rule, error) {
	f, err := fs.stored(ctx, id)
	if err != nil || f == nil || f.Mode == filter.None {
		return nil, err
	}
	return &f.Rule, nil
}

// SetPathsFilter changes the filter of a secondary of this primary.
func (fs *Filters) SetPathsFilter(ctx context.Context, id string, r filter.Rule) error {
	if err := fs.check(ctx, id, r); err != nil {
		return err
	}
	return fs.Put(ctx, id, r)
}

// DeletePathsFilter removes a filter. Its record stays, so that a secondary that sees only the next filter learns that
// this one was removed.
func (fs *Filters) DeletePathsFilter(ctx context.Context, id string) error {
	if err := fs.mustBePrimary(); err != nil {
		return err
	}
	return fs.Put(ctx, id, filter.Rule{Mode: filter.None})
}

// Put stores a filter and puts it in force at the same moment. So nothing hidden is sent once the secondary knows the
// filter, and nothing is left out before.
func (fs *Filters) Put(ctx context.Context, id string, r filter.Rule) error {
	done, err := fs.changing.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	old, err := fs.stored(ctx, id)
	if err != nil || old == nil && r.Mode == filter.None {
		return err
	}
	f := filter.Following(old, r)
	raw, err := f.Encode()
	if err != nil {
		return err
	}
	err = fs.tap.ChangeFilter(ctx, fs.mode, id, fs.allows(id, f),
		func() error { return fs.core.PutEntry(ctx, Key(id), raw) })
	if err != nil {
		return replication.Errorf(replication.StorageFailed, "the paths filter could not be stored, and nothing was "+
			"changed: %w", err)
	}
	return nil
}

// check refuses names that do not exist: a typing error would let secrets through.
func (fs *Filters) check(ctx context.Context, id string, r filter.Rule) error {
	if err := fs.mustBePrimary(); err != nil {
		return err
	}
	if err := fs.checkRegistered(ctx, id, replication.InvalidInput); err != nil {
		return err
	}
	_, known, err := fs.hiddenBy(ctx, nil)
	if err != nil {
		return err
	}
	paths := slices.Collect(maps.Values(known))
	for _, path := range r.Paths {
		switch {
		case filter.System(path):
			return replication.Errorf(replication.InvalidInput, "%s is a system mount and cannot be filtered: leave it out",
				path)
		case !slices.Contains(paths, path):
			return replication.Errorf(replication.InvalidInput, "there is no mount %s here that is replicated: see sys/mounts "+
				"and sys/auth for their paths", path)
		}
	}
	return nil
}

// checkRegistered refuses an id that no secondary of this primary has, with an error of the given kind.
func (fs *Filters) checkRegistered(ctx context.Context, id string, kind replication.Kind) error {
	secondaries, err := fs.roles.Registered(ctx)
	if err != nil || slices.Contains(secondaries, id) {
		return err
	}
	return replication.Errorf(kind, "there is no secondary %q of this primary: use the id that was given to "+
		"secondary-token", id)
}

// use makes the tap leave out the keys that a filter hides from one secondary.
func (fs *Filters) use(ctx context.Context, id string, f *filter.Filter) error {
	return fs.tap.SetFilter(ctx, fs.mode, id, fs.allows(id, f))
}

// allows says which keys a secondary gets; nil if it gets all.
func (fs *Filters) allows(id string, f *filter.Filter) func(key string) bool {
	if f == nil || f.Mode == filter.None {
		return nil
	}
	own := Key(id)
	return func(key string) bool {
		if strings.HasPrefix(key, vaultname.ReplicationFilters) {
			// This secondary must not see the filters of others.
			return key == own
		}
		view, ok := fs.mounts.View(key)
		return !ok || !f.Hides(view.Path)
	}
}

// Load puts the stored filters in force on a primary, before anything is
// sent.
func (fs *Filters) Load(ctx context.Context) error {
	done, err := fs.changing.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	names, err := fs.core.ListEntries(ctx, vaultname.ReplicationFilters)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := hex.DecodeString(name)
		if err != nil {
			return fmt.Errorf("the name of the paths filter %q cannot be read: %w", name, err)
		}
		f, err := fs.stored(ctx, string(id))
		if err != nil {
			return fmt.Errorf("secondary %q: %w", id, err)
		}
		if err := fs.use(ctx, string(id), f); err != nil {
			return err
		}
	}
	return nil
}

// DynamicFilter lists the mounts that the filter of a secondary leaves out now.
func (fs *Filters) DynamicFilter(ctx context.Context, id string) ([]string, error) {
	switch is, own := fs.roles.Here(); {
	case is == replication.Secondary && id != own:
		return nil, replication.Errorf(replication.NotFound, "this secondary is %q and knows nothing of the filter of %q: "+
			"ask the primary", own, id)
	case is == replication.Primary:
		if err := fs.checkRegistered(ctx, id, replication.NotFound); err != nil {
			return nil, err
		}
	}
	f, err := fs.stored(ctx, id)
	if err != nil || f == nil || f.Mode == filter.None {
		return nil, err
	}
	hidden, _, err := fs.hiddenBy(ctx, f)
	return slices.Sorted(maps.Values(hidden)), err
}

// hiddenBy are the shared mounts that a filter hides, and those that it does not:
// paths by UUID.
func (fs *Filters) hiddenBy(ctx context.Context, f *filter.Filter) (hidden, visible map[string]string, err error) {
	hidden, visible = map[string]string{}, map[string]string{}
	for _, key := range mounts.SharedTables {
		table, err := fs.core.StoredTable(ctx, key)
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
func (fs *Filters) Sends(id, uuid string) bool {
	for _, kind := range []string{"logical", "auth"} {
		if view, ok := fs.mounts.View(kind + "/" + uuid + "/"); ok {
			return !view.Local && fs.tap.Sends(fs.mode, id, view.Prefix)
		}
	}
	return false
}
