// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// EnsureEntity makes the entity of an alias, or updates the alias' metadata, as Vault does at a login on a primary.
func (i *Store) EnsureEntity(ctx context.Context, alias *logical.Alias) (entityID string, err error) {
	store, err := i.store()
	if err != nil {
		return "", err
	}
	entity, _, err := store.CreateOrFetchEntity(namespace.RootContext(ctx), alias)
	if err != nil {
		return "", err
	}
	return entity.ID, nil
}

// CreateEntity makes an empty entity and returns it as stored.
func (i *Store) CreateEntity(ctx context.Context) (entityID string, stored []byte, err error) {
	store, err := i.store()
	if err != nil {
		return "", nil, err
	}
	entity, err := store.CreateEntity(namespace.RootContext(ctx))
	if err != nil {
		return "", nil, err
	}
	stored, err = proto.Marshal(entity)
	return entity.ID, stored, err
}

// RefreshGroups makes the external groups of an entity what a login or renewal
// that brings these group aliases wants.
func (i *Store) RefreshGroups(ctx context.Context, entityID, accessor string, aliases []string) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	groups := make([]*logical.Alias, len(aliases))
	for n, name := range aliases {
		groups[n] = &logical.Alias{MountAccessor: accessor, Name: name}
	}
	_, err = pinned.RefreshExternalGroups(store, namespace.RootContext(ctx), entityID, groups, accessor)
	return err
}

// ChangeMembers adds entities to an external group and removes others. Members
// that another cluster changed meanwhile stay as they are.
func (i *Store) ChangeMembers(ctx context.Context, groupID string, add, remove []string) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	lock := pinned.Field[sync.RWMutex](store, "groupLock")
	lock.Lock()
	defer lock.Unlock()
	group, err := store.MemDBGroupByID(groupID, true)
	if err != nil {
		return err
	}
	if group == nil || group.Type != "external" {
		return fmt.Errorf("there is no external group %s on the primary", groupID)
	}
	group.MemberEntityIDs = changedMembers(group, add, remove)
	return store.UpsertGroup(namespace.RootContext(ctx), group, true)
}

func changedMembers(group *identity.Group, add, remove []string) []string {
	var members []string
	for _, id := range append(slices.Clone(group.MemberEntityIDs), add...) {
		if !slices.Contains(remove, id) && !slices.Contains(members, id) {
			members = append(members, id)
		}
	}
	return members
}

// GroupMount is the accessor of the mount that the alias of an external group is of,
// "" if there is none.
func (i *Store) GroupMount(groupID string) (accessor string, err error) {
	store, err := i.store()
	if err != nil {
		return "", err
	}
	group, err := store.MemDBGroupByID(groupID, false)
	if err != nil || group == nil || group.Alias == nil {
		return "", err
	}
	return group.Alias.MountAccessor, nil
}

// GroupMounts are the accessors for the external groups of which an entity is a member.
func (i *Store) GroupMounts(entityID string) (accessors []string, err error) {
	store, err := i.store()
	if err != nil {
		return nil, err
	}
	groups, err := store.MemDBGroupsByMemberEntityID(entityID, false, true)
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		if group.Alias != nil {
			accessors = append(accessors, group.Alias.MountAccessor)
		}
	}
	return accessors, nil
}
