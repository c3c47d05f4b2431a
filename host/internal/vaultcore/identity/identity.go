// SPDX-License-Identifier: MPL-2.0

// Package identity is the identity store of a core. On a primary it makes what a login of a
// secondary needs; on a secondary it takes up what the primary has written, and keeps the
// aliases of local mounts.
package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Store is the identity store of a core, which makes a new one at each unseal.
// Its methods are for an active node.
type Store struct {
	core *vault.Core

	mu sync.Mutex
	// of is the store to which contested belongs.
	of        *vault.IdentityStore
	contested map[string]bool
	// readers are the requests that may keep what they have read of OIDC.
	readers Readers
}

// errNoIdentity is the error of a node that is sealed or on standby.
var errNoIdentity = errors.New("the node is not active: try again when it is")

// Readers knows the requests under way in a backend that may keep in memory what they
// have read.
type Readers interface {
	// Watch watches the requests to some paths of a backend, and its periodic function. tell tells the backend that a key
	// has changed.
	Watch(b *framework.Backend, prefix string, tell func(ctx context.Context, key string))
	// Changed notes a key that has changed, before the backend is told.
	Changed(ctx context.Context, key string) error
}

// New gives access to a core's identity store. Readers is for that store alone.
func New(c *vault.Core, readers Readers) *Store { return &Store{core: c, readers: readers} }

func (i *Store) store() (*vault.IdentityStore, error) {
	if s := i.core.IdentityStore(); s != nil {
		return s, nil
	}
	return nil, errNoIdentity
}

// WatchReaders watches the requests that keep in memory what they have read: those about OIDC. Entities and groups need
// no watch, because they are read and kept under one lock. It is called each time that the identity backend is made,
// before the backend serves.
func (i *Store) WatchReaders(b *framework.Backend) {
	i.readers.Watch(b, "oidc", func(ctx context.Context, key string) {
		if store, err := i.store(); err == nil {
			store.Invalidate(namespace.RootContext(ctx), key)
		}
	})
}

// AliasState is the entity of an alias, "" if there is none. same says whether a login with this metadata does not
// change the alias: Vault compares the metadata of aliases with exactly the same name.
func (i *Store) AliasState(accessor, name string, metadata map[string]string) (entityID string, same bool, err error) {
	store, err := i.store()
	if err != nil {
		return "", false, err
	}
	alias, err := store.MemDBAliasByFactors(accessor, name, false, false)
	if err != nil || alias == nil {
		return "", false, err
	}
	entity, err := store.MemDBEntityByAliasID(alias.ID, false)
	if err != nil || entity == nil {
		return "", false, err
	}
	for _, a := range entity.Aliases {
		if a.Name == name && a.MountAccessor == accessor && !maps.Equal(a.Metadata, metadata) {
			return entity.ID, false, nil
		}
	}
	return entity.ID, true, nil
}

// GroupsDiffer says whether a login or renewal that brings these group aliases
// would change the external groups of an entity, by the rule of Vault's own
// refresh: groups of other mounts stay, unless no mount is named.
func (i *Store) GroupsDiffer(entityID, accessor string, aliases []string) (bool, error) {
	store, err := i.store()
	if err != nil {
		return false, err
	}
	changed, err := groupsToChange(store, entityID, accessor, aliases)
	return len(changed) > 0, err
}

func groupsToChange(store *vault.IdentityStore, entityID, accessor string, aliases []string) ([]*identity.Group,
	error) {
	before, err := store.MemDBGroupsByMemberEntityID(entityID, false, true)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	var changed []*identity.Group
	for _, name := range aliases {
		group, err := groupOfAlias(store, accessor, name)
		if err != nil {
			return nil, err
		}
		if group == nil || wanted[group.ID] {
			continue
		}
		wanted[group.ID] = true
		if group.Type == "external" && !slices.Contains(group.MemberEntityIDs, entityID) {
			changed = append(changed, group)
		}
	}
	for _, group := range before {
		foreign := accessor != "" && group.Alias != nil && group.Alias.MountAccessor != accessor
		if !wanted[group.ID] && !foreign {
			changed = append(changed, group)
		}
	}
	return changed, nil
}

func groupOfAlias(store *vault.IdentityStore, accessor, name string) (*identity.Group, error) {
	if accessor == "" || name == "" {
		return nil, nil
	}
	alias, err := store.MemDBAliasByFactors(accessor, name, false, true)
	if err != nil || alias == nil {
		return nil, err
	}
	return store.MemDBGroupByAliasID(alias.ID, false)
}

// TakeUp makes the store read again what a login with these factors depends on:
// the entity and the external groups that still differ.
func (i *Store) TakeUp(ctx context.Context, entityID, accessor string, aliases []string) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	groups, err := groupsToChange(store, entityID, accessor, aliases)
	if err != nil {
		return err
	}
	keys := []string{packer(store, "entityPacker").BucketKey(entityID)}
	for _, g := range groups {
		keys = append(keys, g.BucketKey)
	}
	return i.Refresh(ctx, keys)
}

// PutLocalAlias makes or changes the alias of a local auth mount. The entity must
// be known here. Metadata that was set through the API stays: a login does not
// bring any.
func (i *Store) PutLocalAlias(ctx context.Context, entityID, accessor, name string, metadata map[string]string) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	ctx = namespace.RootContext(ctx)
	lock := pinned.Field[sync.RWMutex](store, "lock")
	lock.Lock()
	defer lock.Unlock()
	wanted := &logical.Alias{MountAccessor: accessor, Name: name, Metadata: metadata, Local: true}
	existing, err := store.MemDBAliasByFactors(accessor, name, false, false)
	if err != nil {
		return err
	}
	if existing != nil {
		// The alias stays with its first entity.
		entityID, wanted.CustomMetadata = existing.CanonicalID, existing.CustomMetadata
	}
	entity, err := store.MemDBEntityByID(entityID, true)
	if err != nil {
		return err
	}
	if entity == nil {
		return fmt.Errorf("the entity %s of the local alias is not known to this cluster", entityID)
	}
	_, err = pinned.ProcessLocalAlias(store, ctx, wanted, entity, true)
	return err
}

// AuthMount is the auth mount with an accessor, if it is in service.
func (i *Store) AuthMount(accessor string) (vaultname.Mount, bool) {
	router := *pinned.Field[*vault.Router](i.core, "router")
	if router == nil {
		return vaultname.Mount{}, false
	}
	m := router.MatchingMountByAccessor(accessor)
	if m == nil || m.Tainted || m.Table != "auth" {
		return vaultname.Mount{}, false
	}
	return routes.MountOf(m), true
}

// packer is one of the store's three bucket stores.
func packer(store *vault.IdentityStore, name string) *storagepacker.StoragePacker {
	return *pinned.Field[*storagepacker.StoragePacker](store, name)
}
