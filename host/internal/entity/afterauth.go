// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// envNoLocalEntities is Vault's own switch: logins on local mounts get no entity.
const envNoLocalEntities = "VAULT_DISABLE_LOCAL_AUTH_MOUNT_ENTITIES"

// errNotHere means that the primary agreed, its writes were applied, and something is still
// missing: another cluster has changed it again meanwhile.
var errNotHere = errors.New("what the primary wrote has been applied, but the identity store does not show it")

// AfterAuth is called with an auth method's answer to a login or a renewal, before the core
// sees it. The client gets the error that it returns.
func (s *Secondary) AfterAuth(ctx context.Context, m vaultname.Mount, req *logical.Request,
	resp *logical.Response) error {
	if resp == nil || resp.Auth == nil || resp.IsError() {
		return nil
	}
	if req.Operation == logical.RenewOperation {
		return s.afterRenewal(ctx, m, resp.Auth)
	}
	alias := resp.Auth.Alias
	if alias == nil || alias.Name == "" {
		return nil
	}
	if m.Local && os.Getenv(envNoLocalEntities) != "" {
		return nil
	}
	want := Ensure{
		Accessor: m.Accessor, Type: m.Type, Name: alias.Name,
		Metadata: alias.Metadata, Custom: alias.CustomMetadata,
		Groups: groupNames(resp.Auth.GroupAliases), Refresh: true,
	}
	if err := s.gate.enter(ctx, want); err != nil {
		return unavailable(err)
	}
	if m.Local {
		return s.ensureLocal(ctx, want)
	}
	return s.ensureShared(ctx, want)
}

func groupNames(aliases []*logical.Alias) []string {
	var names []string
	for _, a := range aliases {
		if a != nil {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// afterRenewal looks at the groups only: Vault leaves entity and alias alone when a
// token is renewed.
func (s *Secondary) afterRenewal(ctx context.Context, m vaultname.Mount, auth *logical.Auth) error {
	if auth.EntityID == "" {
		return nil
	}
	g := Groups{EntityID: auth.EntityID, Aliases: groupNames(auth.GroupAliases)}
	if auth.Alias != nil {
		g.Accessor = m.Accessor
	}
	return s.ensureGroups(ctx, g)
}

func (s *Secondary) ensureGroups(ctx context.Context, g Groups) error {
	settled := func() (bool, error) {
		differ, err := s.store.GroupsDiffer(g.EntityID, g.Accessor, g.Aliases)
		return !differ, err
	}
	if ok, err := settled(); err != nil || ok {
		return err
	}
	if _, err := s.ask(ctx, KindGroups, encode(g), settled); err != nil {
		return unavailable(err)
	}
	// If the groups still differ, the core changes them by itself, and that goes to the
	// primary too. So this is no reason to refuse.
	return s.store.TakeUp(ctx, g.EntityID, g.Accessor, g.Aliases)
}

// settled says whether a login changes nothing.
func (s *Secondary) settled(want Ensure) (bool, error) {
	id, same, err := s.store.AliasState(want.Accessor, want.Name, want.Metadata)
	if err != nil || id == "" || !same {
		return false, err
	}
	if !want.Refresh {
		return true, nil
	}
	differ, err := s.store.GroupsDiffer(id, want.Accessor, want.Groups)
	return !differ, err
}

func (s *Secondary) ensureShared(ctx context.Context, want Ensure) error {
	ok, err := s.settled(want)
	if err != nil || ok {
		return err
	}
	answer, err := s.ask(ctx, KindEnsure, encode(want), func() (bool, error) { return s.settled(want) })
	if err != nil {
		return unavailable(err)
	}
	if ok, err = s.settled(want); err != nil || ok {
		return err
	}
	// The rows are in storage, but the core may not have taken them up yet. An answer
	// without an entity means that another login has just done it.
	if answer.ID == "" {
		return unavailable(errNotHere)
	}
	if err := s.store.TakeUp(ctx, answer.ID, want.Accessor, want.Groups); err != nil {
		return unavailable(err)
	}
	if ok, err = s.settled(want); err != nil || ok {
		return err
	}
	return unavailable(errNotHere)
}

// ensureLocal makes the entity on the primary and the alias here.
func (s *Secondary) ensureLocal(ctx context.Context, want Ensure) error {
	id, same, err := s.store.AliasState(want.Accessor, want.Name, want.Metadata)
	if err != nil {
		return err
	}
	if id == "" || !same {
		if id, err = s.putLocal(ctx, want); err != nil {
			return err
		}
	}
	return s.ensureGroups(ctx, Groups{EntityID: id, Accessor: want.Accessor, Aliases: want.Groups})
}

// putLocal runs for one login of an alias at a time. The others find the alias there.
func (s *Secondary) putLocal(ctx context.Context, want Ensure) (entityID string, err error) {
	done := s.flights.DoChan("local\x00"+string(encode(want)), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return s.putLocalOnce(ctx, want)
	})
	select {
	case <-ctx.Done():
		return "", unavailable(ctx.Err())
	case r := <-done:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	}
}

func (s *Secondary) putLocalOnce(ctx context.Context, want Ensure) (string, error) {
	id, same, err := s.store.AliasState(want.Accessor, want.Name, want.Metadata)
	if err != nil || (id != "" && same) {
		return id, err
	}
	if id == "" {
		answer, at, err := s.call(ctx, KindCreate, encode(Entity{}))
		if err != nil {
			return "", unavailable(err)
		}
		if err := s.waiter.Wait(ctx, at); err != nil {
			return "", unavailable(err)
		}
		if err := s.store.TakeUp(ctx, answer.ID, want.Accessor, nil); err != nil {
			return "", unavailable(err)
		}
		id = answer.ID
	}
	if err := s.store.PutLocalAlias(ctx, id, want.Accessor, want.Name, want.Metadata); err != nil {
		return "", err
	}
	// The alias may belong to another entity meanwhile.
	id, _, err = s.store.AliasState(want.Accessor, want.Name, want.Metadata)
	if err == nil && id == "" {
		err = unavailable(errNotHere)
	}
	return id, err
}
