// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-memdb"
	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/vault"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

const (
	entityBuckets     = storagepacker.StoragePackerBucketsPrefix
	groupBuckets      = "packer/group/buckets/"
	localAliasBuckets = "packer/local-aliases/buckets/"
	// temporary marks an entity that the primary has made and that has not arrived.
	temporary = ".tmp"
)

// Refresh has the identity store of a secondary take up applied rows. Keys are relative to the identity mount; those of
// one call are taken up as one change.
//
// Vault's own Invalidate is used only for other things than entities and groups. For these it needs one bucket at a
// time, in the order of the primary's writes. In another order (after a comparison, or in a resumed stream) an alias
// that moved makes it merge the two entities in memory for good, and a name that moved leaves an entity that cannot be
// found by name. It empties the live entity's aliases before it knows that it will succeed. It drops entities that have
// not arrived yet when another entity of their bucket arrives, and local aliases of merged entities. Here all removed
// rows are taken out before any is put in. A row that still collides with one whose bucket has not come is remembered,
// and put in again with the next change.
func (i *Store) Refresh(ctx context.Context, keys []string) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	ctx = namespace.RootContext(ctx)
	var entities, groups []string
	for _, key := range keys {
		switch {
		case strings.HasPrefix(key, entityBuckets):
			entities = append(entities, key)
		case strings.HasPrefix(key, groupBuckets):
			groups = append(groups, key)
		case strings.HasPrefix(key, localAliasBuckets):
			// This node wrote them itself, memory first.
		default:
			if err := i.readers.Changed(ctx, key); err != nil {
				return err
			}
			store.Invalidate(ctx, key)
		}
	}
	if len(entities)+len(groups) == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.of != store {
		i.of, i.contested = store, nil
	}
	lock := pinned.Field[sync.RWMutex](store, "lock")
	lock.Lock()
	defer lock.Unlock()
	return i.refresh(ctx, store, entities, groups)
}

// refresher is one change of the store's memory.
type refresher struct {
	store  *vault.IdentityStore
	locals *storagepacker.StoragePacker
	// localItems are the local alias buckets that were read, by key and ID.
	localItems map[string]map[string]*storagepacker.Item
	txn        *memdb.Txn
	again      map[string]bool
	contested  map[string]bool
}

func (i *Store) refresh(ctx context.Context, store *vault.IdentityStore, entities, groups []string) error {
	for key := range i.contested {
		if strings.HasPrefix(key, groupBuckets) {
			groups = append(groups, key)
		} else {
			entities = append(entities, key)
		}
	}
	// The storage is read before the transaction begins, because logins that change something wait for the transaction.
	r := &refresher{store: store, locals: packer(store, "localAliasPacker"), again: i.contested,
		contested: map[string]bool{}}
	storedEntities, err := r.readEntities(ctx, unique(entities))
	if err != nil {
		return err
	}
	storedGroups, err := r.readGroups(ctx, unique(groups))
	if err != nil {
		return err
	}
	r.txn = (*pinned.Field[*memdb.MemDB](store, "db")).Txn(true)
	defer r.txn.Abort()
	if err := r.replaceEntities(ctx, unique(entities), storedEntities); err != nil {
		return err
	}
	if err := r.replaceGroups(ctx, unique(groups), storedGroups); err != nil {
		return err
	}
	r.txn.Commit()
	i.contested = r.contested
	return r.forgetTemporaries(ctx, storedEntities)
}

func unique(keys []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(keys)))
}

// readEntities are the entities of some buckets with their local aliases.
func (r *refresher) readEntities(ctx context.Context, buckets []string) ([]*identity.Entity, error) {
	var all []*identity.Entity
	for _, key := range buckets {
		bucket, err := packer(r.store, "entityPacker").GetBucket(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of the entities in %s: %w", key, err)
		}
		if bucket == nil {
			continue
		}
		for _, item := range bucket.Items {
			e, err := pinned.ParseEntity(r.store, ctx, item)
			if err != nil {
				return nil, fmt.Errorf("decoding of an entity in %s: %w", key, err)
			}
			if err := r.addLocalAliases(ctx, e); err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	return all, nil
}

func (r *refresher) readGroups(ctx context.Context, buckets []string) ([]*identity.Group, error) {
	var all []*identity.Group
	for _, key := range buckets {
		bucket, err := packer(r.store, "groupPacker").GetBucket(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of the groups in %s: %w", key, err)
		}
		if bucket == nil {
			continue
		}
		for _, item := range bucket.Items {
			g, err := pinned.ParseGroup(r.store, item)
			if err != nil {
				return nil, fmt.Errorf("decoding of a group in %s: %w", key, err)
			}
			all = append(all, g)
		}
	}
	return all, nil
}

// replaceEntities takes out all entities that go or change, then puts in those that
// came or changed.
func (r *refresher) replaceEntities(ctx context.Context, buckets []string, stored []*identity.Entity) error {
	byID := make(map[string]*identity.Entity, len(stored))
	for _, e := range stored {
		byID[e.ID] = e
	}
	for _, key := range buckets {
		known, err := r.store.MemDBEntitiesByBucketKeyInTxn(r.txn, key)
		if err != nil {
			return err
		}
		for _, e := range known {
			now := byID[e.ID]
			if now != nil && !r.again[key] && proto.Equal(e, now) {
				delete(byID, e.ID)
				continue
			}
			kept := false
			if now == nil {
				if kept, err = r.isTemporary(ctx, e.ID); err != nil {
					return err
				}
			}
			if kept {
				continue
			}
			if err := r.takeOutEntity(e); err != nil {
				return err
			}
		}
	}
	for _, e := range stored {
		if byID[e.ID] == nil {
			continue
		}
		if err := r.putEntity(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// takeOutEntity removes an entity and its aliases. Another entity that has taken over one of these aliases is
// contested: its bucket is part of this change, and it gets the alias back. The entity itself is not changed, because
// requests may be reading it.
func (r *refresher) takeOutEntity(e *identity.Entity) error {
	for _, a := range e.Aliases {
		if err := r.store.MemDBDeleteAliasByIDInTxn(r.txn, a.ID, false); err != nil {
			return err
		}
	}
	return r.store.MemDBDeleteEntityByIDInTxn(r.txn, e.ID)
}

func (r *refresher) putEntity(ctx context.Context, e *identity.Entity) error {
	holder, err := r.store.MemDBEntityByNameInTxn(ctx, r.txn, e.Name, false)
	if err != nil {
		return err
	}
	if holder != nil && holder.ID != e.ID {
		r.contest(holder.BucketKey, e.BucketKey)
	}
	var aliases []*identity.Alias
	for _, a := range e.Aliases {
		mine, err := r.claimAlias(e, a)
		if err != nil {
			return err
		}
		if mine {
			aliases = append(aliases, a)
		}
	}
	e.Aliases = aliases
	for _, a := range e.Aliases {
		if err := r.store.MemDBUpsertAliasInTxn(r.txn, a, false); err != nil {
			return err
		}
	}
	return r.store.MemDBUpsertEntityInTxn(r.txn, e)
}

// claimAlias makes room for an alias of an entity. A shared alias goes to the entity that the primary wrote, because
// the bucket of its former holder has not come yet. A local alias stays with its first entity, unless it is the same
// alias, moved by a merge.
func (r *refresher) claimAlias(e *identity.Entity, a *identity.Alias) (mine bool, err error) {
	holder, err := r.store.MemDBAliasByFactorsInTxn(r.txn, a.MountAccessor, a.Name, false, false)
	if err != nil || holder == nil || holder.CanonicalID == e.ID {
		return err == nil, err
	}
	if a.Local && holder.ID != a.ID {
		return false, nil
	}
	former, err := r.store.MemDBEntityByIDInTxn(r.txn, holder.CanonicalID, false)
	if err != nil {
		return false, err
	}
	if former != nil {
		r.contest(former.BucketKey, e.BucketKey)
	}
	return true, r.store.MemDBDeleteAliasByIDInTxn(r.txn, holder.ID, false)
}

func (r *refresher) contest(buckets ...string) {
	for _, key := range buckets {
		r.contested[key] = true
	}
}

func (r *refresher) replaceGroups(ctx context.Context, buckets []string, stored []*identity.Group) error {
	for _, key := range buckets {
		known, err := r.store.MemDBGroupsByBucketKeyInTxn(r.txn, key)
		if err != nil {
			return err
		}
		for _, g := range known {
			if err := r.takeOutGroup(g); err != nil {
				return err
			}
		}
	}
	for _, g := range stored {
		if err := r.putGroup(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (r *refresher) takeOutGroup(g *identity.Group) error {
	if g.Alias != nil {
		if err := r.store.MemDBDeleteAliasByIDInTxn(r.txn, g.Alias.ID, true); err != nil {
			return err
		}
	}
	return r.store.MemDBDeleteGroupByIDInTxn(r.txn, g.ID)
}

func (r *refresher) putGroup(ctx context.Context, g *identity.Group) error {
	holder, err := r.store.MemDBGroupByNameInTxn(ctx, r.txn, g.Name, false)
	if err != nil {
		return err
	}
	if holder != nil && holder.ID != g.ID {
		r.contest(holder.BucketKey, g.BucketKey)
	}
	if g.Alias != nil {
		if err := r.claimGroupAlias(g); err != nil {
			return err
		}
		if err := r.store.MemDBUpsertAliasInTxn(r.txn, g.Alias, true); err != nil {
			return err
		}
	}
	return r.store.MemDBUpsertGroupInTxn(r.txn, g)
}

func (r *refresher) claimGroupAlias(g *identity.Group) error {
	holder, err := r.store.MemDBAliasByFactorsInTxn(r.txn, g.Alias.MountAccessor, g.Alias.Name, false, true)
	if err != nil || holder == nil || holder.CanonicalID == g.ID {
		return err
	}
	former, err := r.store.MemDBGroupByIDInTxn(r.txn, holder.CanonicalID, false)
	if err != nil {
		return err
	}
	if former != nil {
		r.contest(former.BucketKey, g.BucketKey)
	}
	return r.store.MemDBDeleteAliasByIDInTxn(r.txn, holder.ID, true)
}
