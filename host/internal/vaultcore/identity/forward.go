// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/vault"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Writes are the calls of a performance secondary's identity store to the primary, made under its own locks. Neither
// method may wait until a change has arrived here, because the change needs the locks that the caller holds.
type Writes interface {
	ChangeMembers(ctx context.Context, groupID string, add, remove []string) error
	// CreateEntity returns the entity as the primary stored it.
	CreateEntity(ctx context.Context) (stored []byte, err error)
}

// ForwardWrites makes the identity store send changes to the primary that it would otherwise keep in memory (members of
// external groups) or not make at all (entities for aliases of local mounts). It is called at each start of active
// duty, because the store is a new one then.
func (i *Store) ForwardWrites(w Writes) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	*pinned.Field[vault.GroupUpdater](store, "groupUpdater") = groupForwarder{store, w}
	*pinned.Field[vault.EntityCreator](store, "entityCreator") = entityForwarder{store, w}
	return nil
}

type groupForwarder struct {
	store  *vault.IdentityStore
	writes Writes
}

// SendGroupUpdate sends the difference, not the group, because this node's list of members may be old.
func (f groupForwarder) SendGroupUpdate(ctx context.Context, group *identity.Group) error {
	before, err := f.store.MemDBGroupByID(group.ID, false)
	if err != nil {
		return err
	}
	if before == nil {
		return fmt.Errorf("the external group %s is not known to this cluster", group.ID)
	}
	add := without(group.MemberEntityIDs, before.MemberEntityIDs)
	remove := without(before.MemberEntityIDs, group.MemberEntityIDs)
	if len(add)+len(remove) == 0 {
		return nil
	}
	return f.writes.ChangeMembers(ctx, group.ID, add, remove)
}

func without(of, these []string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(id string) bool { return slices.Contains(these, id) })
}

type entityForwarder struct {
	store  *vault.IdentityStore
	writes Writes
}

// CreateEntity returns an entity of the primary that has not arrived yet. It is
// kept beside the local aliases until it has, so that a restart does not lose it.
func (f entityForwarder) CreateEntity(ctx context.Context) (*identity.Entity, error) {
	stored, err := f.writes.CreateEntity(ctx)
	if err != nil {
		return nil, err
	}
	entity := &identity.Entity{}
	if err := proto.Unmarshal(stored, entity); err != nil {
		return nil, fmt.Errorf("the primary's answer is not an entity: %w", err)
	}
	if err := pinned.CacheTemporaryEntity(f.store, ctx, entity); err != nil {
		return nil, err
	}
	return entity, nil
}

// SettleEntity drops the copy of an entity that was kept until its arrival, and reads the entity from storage. It is
// called after the primary's write of the entity has been applied. It takes the core's state lock, so it must not be
// called in a request.
func (i *Store) SettleEntity(ctx context.Context, entityID string) error {
	return pinned.WithState(i.core, func() error {
		store, err := i.store()
		if err != nil {
			return err
		}
		lock := pinned.Field[sync.RWMutex](store, "lock")
		lock.Lock()
		err = packer(store, "localAliasPacker").DeleteItem(ctx, entityID+temporary)
		lock.Unlock()
		if err != nil {
			return err
		}
		return i.Refresh(ctx, []string{packer(store, "entityPacker").BucketKey(entityID)})
	})
}
