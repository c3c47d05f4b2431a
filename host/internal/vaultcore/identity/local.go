// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
)

// localItem is the item of an id in the local alias buckets. Each bucket is read once for each change, because a bucket
// may have thousands of entities, most of them without a local alias.
func (r *refresher) localItem(ctx context.Context, id string) (*storagepacker.Item, error) {
	key := r.locals.BucketKey(id)
	items, read := r.localItems[key]
	if !read {
		bucket, err := r.locals.GetBucket(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of the local aliases in %s: %w", key, err)
		}
		items = make(map[string]*storagepacker.Item, len(bucket.GetItems()))
		for _, item := range bucket.GetItems() {
			items[item.ID] = item
		}
		if r.localItems == nil {
			r.localItems = map[string]map[string]*storagepacker.Item{}
		}
		r.localItems[key] = items
	}
	return items[id], nil
}

// putLocalItem and deleteLocalItem write through what localItem remembers.
func (r *refresher) putLocalItem(ctx context.Context, item *storagepacker.Item) error {
	delete(r.localItems, r.locals.BucketKey(item.ID))
	return r.locals.PutItem(ctx, item)
}

func (r *refresher) deleteLocalItem(ctx context.Context, id string) error {
	delete(r.localItems, r.locals.BucketKey(id))
	return r.locals.DeleteItem(ctx, id)
}

// localAliases are the aliases that an entity has on this cluster only, nil when it
// has none.
func (r *refresher) localAliases(ctx context.Context, entityID string) (*identity.LocalAliases, error) {
	item, err := r.localItem(ctx, entityID)
	if err != nil || item == nil {
		return nil, err
	}
	aliases := &identity.LocalAliases{}
	if err := item.Message.UnmarshalTo(aliases); err != nil {
		return nil, fmt.Errorf("decoding of the local aliases of entity %s: %w", entityID, err)
	}
	return aliases, nil
}

// addLocalAliases gives an entity of the primary the aliases that it has on this
// cluster, those of entities that were merged into it included.
func (r *refresher) addLocalAliases(ctx context.Context, e *identity.Entity) error {
	if len(e.MergedEntityIDs) > 0 {
		if err := r.followMerges(ctx, e); err != nil {
			return err
		}
	}
	local, err := r.localAliases(ctx, e.ID)
	if err != nil {
		return err
	}
	for _, a := range local.GetAliases() {
		e.UpsertAlias(a)
	}
	return nil
}

func (r *refresher) followMerges(ctx context.Context, e *identity.Entity) error {
	known, err := r.store.MemDBEntityByID(e.ID, false)
	if err != nil {
		return err
	}
	for _, merged := range e.MergedEntityIDs {
		if known != nil && slices.Contains(known.MergedEntityIDs, merged) {
			continue
		}
		if err := r.moveLocalAliases(ctx, merged, e.ID); err != nil {
			return err
		}
	}
	return nil
}

// moveLocalAliases moves the local aliases of a merged entity to the entity that it became. If that one already has an
// alias on the same mount, the alias is dropped, as in a merge. The new place is written first: a crash in between
// leaves both, and the next call does the same again.
func (r *refresher) moveLocalAliases(ctx context.Context, from, to string) error {
	moving, err := r.localAliases(ctx, from)
	if err != nil || moving == nil {
		return err
	}
	there, err := r.localAliases(ctx, to)
	if err != nil {
		return err
	}
	there = cmp.Or(there, &identity.LocalAliases{})
	for _, a := range moving.Aliases {
		if slices.ContainsFunc(there.Aliases, func(t *identity.Alias) bool { return t.MountAccessor == a.MountAccessor }) {
			continue
		}
		a.CanonicalID = to
		a.LocalBucketKey = r.locals.BucketKey(to)
		a.MergedFromCanonicalIDs = append(a.MergedFromCanonicalIDs, from)
		there.Aliases = append(there.Aliases, a)
	}
	message, err := anypb.New(there)
	if err != nil {
		return err
	}
	if err := r.putLocalItem(ctx, &storagepacker.Item{ID: to, Message: message}); err != nil {
		return fmt.Errorf("write of the local aliases of entity %s: %w", to, err)
	}
	return r.deleteLocalItem(ctx, from)
}

// isTemporary says whether an entity is kept here until it arrives.
func (r *refresher) isTemporary(ctx context.Context, entityID string) (bool, error) {
	item, err := r.localItem(ctx, entityID+temporary)
	return item != nil, err
}

// forgetTemporaries drops what was kept of entities that have arrived.
func (r *refresher) forgetTemporaries(ctx context.Context, arrived []*identity.Entity) error {
	for _, e := range arrived {
		kept, err := r.isTemporary(ctx, e.ID)
		if err != nil {
			return err
		}
		if !kept {
			continue
		}
		if err := r.deleteLocalItem(ctx, e.ID+temporary); err != nil {
			return err
		}
	}
	return nil
}

// SweepLocalAliases removes local aliases whose entity is gone, moves those whose entity was merged while this node was
// not active, and drops copies of entities that have arrived. It is called at the start of active duty on a consistent
// secondary.
func (i *Store) SweepLocalAliases(ctx context.Context) error {
	store, err := i.store()
	if err != nil {
		return err
	}
	ctx = namespace.RootContext(ctx)
	locals := packer(store, "localAliasPacker")
	names, err := locals.View().List(ctx, localAliasBuckets)
	if err != nil {
		return fmt.Errorf("list of the local aliases: %w", err)
	}
	var refresh []string
	for _, name := range names {
		bucket, err := locals.GetBucket(ctx, localAliasBuckets+name)
		if err != nil {
			return fmt.Errorf("read of the local aliases: %w", err)
		}
		for _, item := range bucket.GetItems() {
			key, err := i.sweepItem(ctx, item.ID)
			if err != nil {
				return err
			}
			if key != "" {
				refresh = append(refresh, key)
			}
		}
	}
	return i.Refresh(ctx, refresh)
}

// sweepItem returns the bucket of the entity that took the item over, if any.
func (i *Store) sweepItem(ctx context.Context, item string) (bucket string, err error) {
	store, err := i.store()
	if err != nil {
		return "", err
	}
	entities, locals := packer(store, "entityPacker"), packer(store, "localAliasPacker")
	lock := pinned.Field[sync.RWMutex](store, "lock")
	lock.Lock()
	defer lock.Unlock()
	id, kept := strings.CutSuffix(item, temporary)
	stored, err := entities.GetItem(id)
	if err != nil {
		return "", err
	}
	if kept {
		if stored == nil {
			return "", nil
		}
		return "", locals.DeleteItem(ctx, item)
	}
	if stored != nil {
		return "", nil
	}
	if waiting, err := locals.GetItem(id + temporary); err != nil || waiting != nil {
		return "", err
	}
	became, err := store.MemDBEntityByMergedEntityID(id, false)
	if err != nil {
		return "", err
	}
	if became == nil {
		return "", locals.DeleteItem(ctx, item)
	}
	r := &refresher{store: store, locals: locals}
	return became.BucketKey, r.moveLocalAliases(ctx, id, became.ID)
}

// LocalAlias says whether an alias is of a local mount of this cluster: by its id, or without an id by the accessor of
// its mount. An unknown alias is not local.
func (i *Store) LocalAlias(id, accessor string) bool {
	if id == "" {
		e := routes.Of(i.core).Router().MatchingMountByAccessor(accessor)
		return e != nil && e.Local
	}
	store, err := i.store()
	if err != nil {
		return false
	}
	alias, err := store.MemDBAliasByID(id, false, false)
	return err == nil && alias != nil && alias.Local
}

// LocalClash names two aliases on one local mount that would belong to one entity after a merge, "" if there are none.
// Of two aliases the merge keeps that of the entity into which the others are merged. It is no clash if keep has the id
// of that alias.
func (i *Store) LocalClash(into string, from, keep []string) string {
	store, err := i.store()
	if err != nil {
		return ""
	}
	has := map[string]*identity.Alias{}
	for n, id := range append([]string{into}, from...) {
		e, err := store.MemDBEntityByID(id, false)
		if err != nil || e == nil {
			continue // the primary says so
		}
		for _, a := range e.Aliases {
			other := has[a.MountAccessor]
			switch {
			case !a.Local:
			case other == nil:
				has[a.MountAccessor] = a
			case n == 0 || other.CanonicalID == a.CanonicalID || other.CanonicalID == into && slices.Contains(keep, other.ID):
			default:
				return fmt.Sprintf("on the local mount %s there are %q (%s) of the entity %s and %q (%s) of %s", a.MountAccessor,
					other.Name, other.ID, other.CanonicalID, a.Name, a.ID, a.CanonicalID)
			}
		}
	}
	return ""
}
