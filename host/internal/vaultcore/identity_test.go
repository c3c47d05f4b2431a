// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/vault/helper/storagepacker"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/identity"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// group makes an external group with an alias on the shared mount.
func (p *identityPair) group(name string) string {
	p.t.Helper()
	id := p.ask(p.primary, "identity/group", map[string]any{"name": name, "type": "external"})["id"].(string)
	p.ask(p.primary, "identity/group-alias", map[string]any{
		"name": name, "canonical_id": id, "mount_accessor": p.mounts["auth/who/"].Accessor,
	})
	require.NoError(p.t, p.arrive(context.Background()))
	return id
}

func (p *identityPair) members(c *Core, group string) any {
	p.t.Helper()
	return p.read(c, "identity/group/id/"+group)["member_entity_ids"]
}

// Vault itself cannot do it: that is what the hook is for.
func TestSecondaryLoginNeedsTheHook(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	p.set(func() { p.off = true })
	_, err := p.login(p.secondary, "auth/who/login/bob", nil)
	require.ErrorIs(t, err, logical.ErrReadOnly)
	require.NotEmpty(t, p.below.takeRefused())
}

func TestSecondaryLogin(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	dev, ops := p.group("dev"), p.group("ops")

	first := p.mustLogin("auth/who/login/bob", map[string]any{"meta": "a=1", "groups": "dev"})
	require.Equal(t, []string{entity.KindEnsure}, p.takeCalls())
	require.NotNil(t, p.read(p.primary, "identity/entity/id/"+first.EntityID), "the entity is the primary's")
	require.Equal(t, []string{first.EntityID}, p.members(p.primary, dev))
	require.Equal(t, []string{first.EntityID}, p.members(p.secondary, dev))

	again := p.mustLogin("auth/who/login/bob", map[string]any{"meta": "a=1", "groups": "dev"})
	require.Equal(t, first.EntityID, again.EntityID)
	require.Empty(t, p.takeCalls())

	changed := p.mustLogin("auth/who/login/bob", map[string]any{"meta": "a=2", "groups": "ops"})
	require.Equal(t, first.EntityID, changed.EntityID)
	require.Equal(t, []string{entity.KindEnsure}, p.takeCalls())
	require.Empty(t, p.members(p.primary, dev))
	require.Equal(t, []string{first.EntityID}, p.members(p.primary, ops))

	p.set(func() { p.renewGroups = []string{"dev", "nobody"} })
	resp, err := request(p.secondary, logical.UpdateOperation, "auth/token/renew-self", changed.ClientToken, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.Equal(t, []string{entity.KindGroups}, p.takeCalls())
	require.Equal(t, []string{first.EntityID}, p.members(p.primary, dev))
	require.Empty(t, p.members(p.primary, ops))

	p.mustLogin("auth/who/login/bob", map[string]any{"meta": "a=2", "groups": "dev", "type": "batch"})
	require.Empty(t, p.takeCalls())
	require.Empty(t, p.below.takeRefused(), "the core must find everything in place")

	p.ask(p.primary, "identity/entity/id/"+first.EntityID, map[string]any{"disabled": true})
	require.NoError(t, p.arrive(t.Context()))
	_, err = p.login(p.secondary, "auth/who/login/bob", map[string]any{"meta": "a=2", "groups": "dev"})
	require.ErrorIs(t, err, logical.ErrPermissionDenied)
}

func TestSecondaryLoginThatDoesNotArriveIs503(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	p.set(func() { p.lag = true })
	for _, mount := range []string{"who", "here"} {
		_, err := p.login(p.secondary, "auth/"+mount+"/login/bob", nil)
		var coded *logical.ReplicationCodedError
		require.ErrorAs(t, err, &coded)
		require.Equal(t, http.StatusServiceUnavailable, coded.Code)
	}
	p.set(func() { p.lag = false })
	p.mustLogin("auth/who/login/bob", nil)
	p.mustLogin("auth/here/login/bob", nil)
}

// Many logins of one new alias make one entity; those that bring different
// metadata all succeed.
func TestSecondaryLoginsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	for _, mount := range []string{"who", "here"} {
		for _, different := range []bool{false, true} {
			name := fmt.Sprintf("auth/%s/login/%v", mount, different)
			var wg sync.WaitGroup
			ids := make([]string, 64)
			for n := range ids {
				data := map[string]any{"meta": "pod=one"}
				if different {
					data["meta"] = fmt.Sprintf("pod=%d", n%8)
				}
				wg.Go(func() {
					auth, err := p.login(p.secondary, name, data)
					if err == nil {
						ids[n] = auth.EntityID
					} else {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wg.Wait()
			for _, id := range ids {
				require.Equal(t, ids[0], id, name)
			}
		}
	}
	require.Empty(t, p.below.takeRefused())
	list, err := request(p.primary, logical.ListOperation, "identity/entity/id", p.root, nil)
	require.NoError(t, err)
	require.Len(t, list.Data["keys"], 4)
}

// A group that changes behind the hook's back still reaches the primary, as a
// difference.
func TestGroupUpdateFromInside(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	dev := p.group("dev")
	bob := p.mustLogin("auth/who/login/bob", nil)
	p.takeCalls()
	other := p.ask(p.primary, "identity/entity", map[string]any{"name": "other"})["id"].(string)
	p.ask(p.primary, "identity/group/id/"+dev, map[string]any{"name": "dev", "type": "external"})
	require.NoError(t, identity.New(p.primary.Core, &routing.Readers{}).ChangeMembers(t.Context(), dev, []string{other},
		nil))

	p.set(func() { p.off = true })
	p.mustLogin("auth/who/login/bob", map[string]any{"groups": "dev"})
	require.Equal(t, []string{entity.KindMembers}, p.takeCalls())
	require.ElementsMatch(t, []string{other, bob.EntityID}, p.members(p.primary, dev))
	require.Error(t, identity.New(p.primary.Core, &routing.Readers{}).ChangeMembers(t.Context(), "none", nil, nil))
}

func TestLocalAlias(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	bob := p.mustLogin("auth/here/login/bob", map[string]any{"meta": "a=1"})
	require.Equal(t, []string{entity.KindCreate}, p.takeCalls())
	require.Empty(t, p.read(p.primary, "identity/entity/id/"+bob.EntityID)["aliases"])
	alias := p.aliases(bob.EntityID)[0]

	p.ask(p.secondary, "identity/entity-alias/id/"+alias["id"].(string),
		map[string]any{"custom_metadata": map[string]any{"k": "v"}})
	p.mustLogin("auth/here/login/bob", map[string]any{"meta": "a=2"})
	require.Empty(t, p.takeCalls())
	check := func() {
		t.Helper()
		alias := p.aliases(bob.EntityID)[0]
		require.Equal(t, map[string]string{"a": "2"}, alias["metadata"])
		require.Equal(t, map[string]string{"k": "v"}, alias["custom_metadata"])
	}
	check()
	p.restart()
	check()
	require.Equal(t, bob.EntityID, p.mustLogin("auth/here/login/bob", map[string]any{"meta": "a=2"}).EntityID)

	// The primary's change of the entity leaves the alias.
	p.ask(p.primary, "identity/entity/id/"+bob.EntityID, map[string]any{"name": "robert"})
	require.NoError(t, p.arrive(t.Context()))
	check()
	require.Empty(t, p.below.takeRefused())

	// Deleted on the primary: the next login is somebody new.
	_, err := request(p.primary, logical.DeleteOperation, "identity/entity/id/"+bob.EntityID, p.root, nil)
	require.NoError(t, err)
	require.NoError(t, p.arrive(t.Context()))
	require.NotEqual(t, bob.EntityID, p.mustLogin("auth/here/login/bob", map[string]any{"meta": "a=2"}).EntityID)
	item, err := (*pinned.Field[*storagepacker.StoragePacker](p.secondary.IdentityStore(), "localAliasPacker")).GetItem(
		bob.EntityID)
	require.NoError(t, err)
	require.NotNil(t, item)
	require.NoError(t, p.identity.SweepLocalAliases(t.Context()))
	item, err = (*pinned.Field[*storagepacker.StoragePacker](p.secondary.IdentityStore(), "localAliasPacker")).GetItem(
		bob.EntityID)
	require.NoError(t, err)
	require.Nil(t, item, "the sweep takes what deleted entities leave")
}

func (p *identityPair) aliases(entityID string) []map[string]any {
	p.t.Helper()
	var out []map[string]any
	for _, a := range p.read(p.secondary, "identity/entity/id/"+entityID)["aliases"].([]any) {
		out = append(out, a.(map[string]any))
	}
	require.NotEmpty(p.t, out)
	return out
}

// An entity for an alias made through the API is kept until it arrives.
func TestLocalAliasThroughTheAPI(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	p.set(func() { p.lag = true })
	made := p.ask(p.secondary, "identity/entity-alias",
		map[string]any{"name": "ann", "mount_accessor": p.mounts["auth/here/"].Accessor})
	id := made["canonical_id"].(string)
	require.Equal(t, []string{entity.KindCreate}, p.takeCalls())
	require.NotNil(t, p.read(p.primary, "identity/entity/id/"+id))
	require.Equal(t, id, p.mustLogin("auth/here/login/ann", nil).EntityID)

	// Its bucket is read again before it has arrived.
	require.NoError(t, p.identity.TakeUp(t.Context(), id, "", nil))
	require.Equal(t, id, p.mustLogin("auth/here/login/ann", nil).EntityID)
	p.restart()
	require.NotNil(t, p.read(p.secondary, "identity/entity/id/"+id), "a restart must not lose it")

	require.NoError(t, p.arrive(t.Context()))
	require.Equal(t, id, p.mustLogin("auth/here/login/ann", nil).EntityID)
	kept, err := (*pinned.Field[*storagepacker.StoragePacker](p.secondary.IdentityStore(), "localAliasPacker")).GetItem(
		id + ".tmp")
	require.NoError(t, err)
	require.Nil(t, kept)

	// One that is made and deleted before anything arrives does not stay.
	p.set(func() { p.lag = true })
	made = p.ask(p.secondary, "identity/entity-alias",
		map[string]any{"name": "eve", "mount_accessor": p.mounts["auth/here/"].Accessor})
	id = made["canonical_id"].(string)
	_, err = request(p.primary, logical.DeleteOperation, "identity/entity/id/"+id, p.root, nil)
	require.NoError(t, err)
	require.NoError(t, p.arrive(t.Context()))
	require.NoError(t, p.identity.SettleEntity(t.Context(), id))
	require.Nil(t, p.read(p.secondary, "identity/entity/id/"+id))
	require.Empty(t, p.below.takeRefused())
}

// forwarded keeps what a secondary sends and has no primary.
type forwarded struct{ paths []string }

func (f *forwarded) Do(_ context.Context, req *wire.Request) (*wire.Answer, error) {
	f.paths = append(f.paths, req.MountPath+req.Logical.Path)
	return &wire.Answer{}, nil
}

// Behind the handlers of a secondary aliases of local mounts are managed here, and
// those of other mounts on the primary.
func TestAliasesOfLocalMountsAreManagedHere(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	sent := &forwarded{}
	_, err := routing.DecorateForward(p.secondary.IdentityStore().Backend, vaultname.Identity, sent, localsOf{p.secondary})
	require.NoError(t, err)
	made := p.ask(p.secondary, "identity/entity-alias",
		map[string]any{"name": "ann", "mount_accessor": p.mounts["auth/here/"].Accessor})
	path := "identity/entity-alias/id/" + made["id"].(string)
	p.ask(p.secondary, path, map[string]any{"custom_metadata": map[string]string{"a": "1"}})
	require.Equal(t, map[string]string{"a": "1"}, p.read(p.secondary, path)["custom_metadata"])
	_, err = request(p.secondary, logical.DeleteOperation, path, p.root, nil)
	require.NoError(t, err)
	require.Nil(t, p.read(p.secondary, path))
	require.Empty(t, sent.paths)
	require.Empty(t, p.below.takeRefused())

	for path, data := range map[string]map[string]any{
		"identity/entity-alias":         {"name": "eve", "mount_accessor": p.mounts["auth/who/"].Accessor},
		"identity/entity-alias/id/none": {"name": "eve", "mount_accessor": p.mounts["auth/here/"].Accessor},
	} {
		sent.paths = nil
		_, err = request(p.secondary, logical.UpdateOperation, path, p.root, data)
		require.NoError(t, err)
		require.Equal(t, []string{path}, sent.paths)
	}
}

func TestTokenWithEntityAlias(t *testing.T) {
	t.Parallel()
	p := newPeoplePair(t)
	store := *pinned.Field[*vault.TokenStore](p.secondary.Core, "tokenStore")
	require.NoError(t, entity.DecorateTokenCreate(store.Backend, func() entity.Ensurer { return p.client }))
	p.ask(p.secondary, "auth/token/roles/web", map[string]any{"allowed_entity_aliases": "app-*"})
	create := func(alias string) (*logical.Response, error) {
		return request(p.secondary, logical.UpdateOperation, "auth/token/create/web", p.root,
			map[string]any{"entity_alias": alias})
	}
	resp, err := create("App-1")
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.Equal(t, []string{entity.KindEnsure}, p.takeCalls())
	id := resp.Auth.EntityID
	require.NotNil(t, p.read(p.primary, "identity/entity/id/"+id))
	resp, err = create("app-1")
	require.NoError(t, err)
	require.Equal(t, id, resp.Auth.EntityID)
	require.Empty(t, p.takeCalls())
	resp, err = create("other")
	require.ErrorIs(t, err, logical.ErrInvalidRequest)
	require.ErrorContains(t, resp.Error(), "entity_alias")
	require.Empty(t, p.takeCalls())
	require.Empty(t, p.below.takeRefused())
}
