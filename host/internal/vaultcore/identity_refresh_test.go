// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/go-memdb"
	"github.com/hashicorp/vault/helper/identity"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// picture is all that a store knows, found by every index.
func picture(t *testing.T, c *Core) map[string]string {
	t.Helper()
	s, ctx := c.IdentityStore(), namespace.RootContext(t.Context())
	out := map[string]string{}
	for n := range 256 {
		txn := (*pinned.Field[*memdb.MemDB](s, "db")).Txn(false)
		entities, err := s.MemDBEntitiesByBucketKeyInTxn(txn, fmt.Sprintf("%s%d", storagepacker.StoragePackerBucketsPrefix,
			n))
		require.NoError(t, err)
		for _, e := range entities {
			pictureOfEntity(ctx, t, c, e, out)
		}
		groups, err := s.MemDBGroupsByBucketKeyInTxn(txn, fmt.Sprintf("%s%d", "packer/group/buckets/", n))
		require.NoError(t, err)
		for _, g := range groups {
			shown, err := g.Clone()
			require.NoError(t, err)
			shown.ModifyIndex = 0 // Vault counts each loading, too
			out["group "+g.ID] = prototext.Format(shown)
			byName, err := s.MemDBGroupByName(ctx, g.Name, false)
			require.NoError(t, err)
			out["group name "+g.Name] = byName.GetID()
			if g.Alias != nil {
				a, err := s.MemDBAliasByFactors(g.Alias.MountAccessor, g.Alias.Name, false, true)
				require.NoError(t, err)
				out["group alias "+g.Alias.Name] = a.GetCanonicalID()
			}
		}
	}
	return out
}

func pictureOfEntity(ctx context.Context, t *testing.T, c *Core, e *identity.Entity, out map[string]string) {
	t.Helper()
	s := c.IdentityStore()
	out["entity "+e.ID] = prototext.Format(e)
	byName, err := s.MemDBEntityByName(ctx, e.Name, false)
	require.NoError(t, err)
	out["entity name "+e.Name] = byName.GetID()
	for _, a := range e.Aliases {
		row, err := s.MemDBAliasByFactors(a.MountAccessor, a.Name, false, false)
		require.NoError(t, err)
		out["alias "+a.MountAccessor+" "+a.Name] = row.GetID() + " " + row.GetCanonicalID()
	}
	for _, m := range e.MergedEntityIDs {
		into, err := s.MemDBEntityByMergedEntityID(m, false)
		require.NoError(t, err)
		out["merged "+m] = into.GetID()
	}
	groups, err := s.MemDBGroupsByMemberEntityID(e.ID, false, false)
	require.NoError(t, err)
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	slices.Sort(ids)
	out["groups of "+e.ID] = fmt.Sprint(ids)
}

// people are entities a and b with an alias each, and entity c with an alias on the
// secondary's local mount.
type people struct {
	*identityPair
	a, b, c string
}

func newPeople(t *testing.T) people {
	t.Helper()
	p := newPeoplePair(t)
	out := people{
		identityPair: p,
		a:            p.mustLogin("auth/who/login/a", nil).EntityID,
		b:            p.mustLogin("auth/who/login/b", nil).EntityID,
		c:            p.mustLogin("auth/here/login/c", nil).EntityID,
	}
	for name, id := range map[string]string{"name-a": out.a, "name-b": out.b, "name-c": out.c} {
		p.ask(p.primary, "identity/entity/id/"+id, map[string]any{"name": name})
	}
	require.NoError(t, p.arrive(t.Context()))
	return out
}

// aliasOf is the ID of an entity's first alias.
func (p people) aliasOf(c *Core, entityID string) string {
	p.t.Helper()
	e, err := c.IdentityStore().MemDBEntityByID(entityID, false)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, e.Aliases)
	return e.Aliases[0].ID
}

func (p people) remove(path string) {
	p.t.Helper()
	_, err := request(p.primary, logical.DeleteOperation, path, p.root, nil)
	require.NoError(p.t, err)
}

// changes of the primary that touch several rows.
var changes = map[string]func(p people){
	"entity deleted": func(p people) { p.remove("identity/entity/id/" + p.a) },
	"alias moved": func(p people) {
		empty := p.ask(p.primary, "identity/entity", map[string]any{"name": "empty"})["id"]
		p.ask(p.primary, "identity/entity-alias/id/"+p.aliasOf(p.primary, p.a), map[string]any{"canonical_id": empty})
	},
	"alias remade with another entity": func(p people) {
		p.remove("identity/entity-alias/id/" + p.aliasOf(p.primary, p.a))
		p.ask(p.primary, "identity/entity-alias", map[string]any{
			"name": "a", "canonical_id": p.c, "mount_accessor": p.mounts["auth/who/"].Accessor,
		})
	},
	"names exchanged": func(p people) {
		p.ask(p.primary, "identity/entity/id/"+p.a, map[string]any{"name": "between"})
		p.ask(p.primary, "identity/entity/id/"+p.b, map[string]any{"name": "name-a"})
		p.ask(p.primary, "identity/entity/id/"+p.a, map[string]any{"name": "name-b"})
	},
	"merged into one with an alias": func(p people) {
		p.ask(p.primary, "identity/entity/merge", map[string]any{"from_entity_ids": p.c, "to_entity_id": p.b})
	},
	"merged, and again": func(p people) {
		p.ask(p.primary, "identity/entity/merge", map[string]any{"from_entity_ids": p.a, "to_entity_id": p.c})
		empty := p.ask(p.primary, "identity/entity", map[string]any{"name": "empty"})["id"]
		p.ask(p.primary, "identity/entity/merge", map[string]any{"from_entity_ids": p.c, "to_entity_id": empty})
	},
	"alias of an external group moved": func(p people) {
		var ids []any
		for _, g := range []string{"x1", "x2"} {
			ids = append(ids, p.ask(p.primary, "identity/group", map[string]any{"name": g, "type": "external"})["id"])
		}
		alias := map[string]any{"name": "dev", "canonical_id": ids[0], "mount_accessor": p.mounts["auth/who/"].Accessor}
		id := p.ask(p.primary, "identity/group-alias", alias)["id"].(string)
		require.NoError(p.t, p.arrive(p.t.Context()))
		alias["canonical_id"] = ids[1]
		p.ask(p.primary, "identity/group-alias/id/"+id, alias)
	},
	"groups": func(p people) {
		for _, g := range []string{"g1", "g2"} {
			p.ask(p.primary, "identity/group", map[string]any{"name": g, "member_entity_ids": p.a + "," + p.b})
		}
		p.remove("identity/group/name/g1")
		g2 := p.read(p.primary, "identity/group/name/g2")["id"]
		p.ask(p.primary, "identity/group/id/"+g2.(string), map[string]any{"name": "g1", "member_entity_ids": p.b})
		p.ask(p.primary, "identity/group", map[string]any{"name": "g2", "member_entity_ids": p.a})
	},
}

// Whatever the order in which the rows of a change arrive, one at a time or
// together, the running store must end up with what a restart would read.
func TestRefreshInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		for _, order := range []string{"together", "forward", "backward", "shuffled"} {
			t.Run(name+"/"+order, func(t *testing.T) {
				t.Parallel()
				p := newPeople(t)
				change(p)
				p.arriveIn(order)
				live := picture(t, p.secondary)
				p.restart()
				require.Equal(t, picture(t, p.secondary), live)
				require.Empty(t, p.below.takeRefused())
			})
		}
	}
}

// arriveIn applies each changed row and takes it up before the next is applied.
func (p people) arriveIn(order string) {
	p.t.Helper()
	ctx := p.t.Context()
	if order == "together" {
		require.NoError(p.t, p.arrive(ctx))
		return
	}
	steps := p.pending()
	slices.Sort(steps)
	switch order {
	case "backward":
		slices.Reverse(steps)
	case "shuffled":
		rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	}
	p.t.Log(steps)
	for _, key := range steps {
		require.NoError(p.t, p.applyOne(ctx, key))
	}
}

// A local alias follows its entity into the one that it was merged with.
func TestLocalAliasFollowsAMerge(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"together", "forward", "backward"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			p := newPeople(t)
			changes["merged into one with an alias"](p)
			p.arriveIn(order)
			require.Equal(t, p.b, p.mustLogin("auth/here/login/c", nil).EntityID)
			require.Equal(t, p.b, p.mustLogin("auth/who/login/b", nil).EntityID)
			p.restart()
			require.Equal(t, p.b, p.mustLogin("auth/here/login/c", nil).EntityID)
		})
	}
}

// The same when the node was not there to see it: the rows came while it was down.
func TestSweepFollowsAMerge(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	changes["merged into one with an alias"](p)
	_, err := p.apply(t.Context())
	require.NoError(t, err)
	p.restart()
	require.NoError(t, p.identity.SweepLocalAliases(t.Context()))
	require.Equal(t, p.b, p.mustLogin("auth/here/login/c", nil).EntityID)
	live := picture(t, p.secondary)
	p.restart()
	require.Equal(t, picture(t, p.secondary), live)
}
