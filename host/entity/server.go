// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// PrimaryStore is the identity store of the primary.
type PrimaryStore interface {
	// AuthMount is an auth mount that is in service.
	AuthMount(accessor string) (typ string, local, ok bool)
	EnsureEntity(ctx context.Context, alias *logical.Alias) (entityID string, err error)
	CreateEntity(ctx context.Context) (entityID string, stored []byte, err error)
	RefreshGroups(ctx context.Context, entityID, accessor string, aliases []string) error
	ChangeMembers(ctx context.Context, groupID string, add, remove []string) error
}

// Server is the primary's side. It must run on the active node only.
type Server struct{ store PrimaryStore }

// NewServer returns a Server.
func NewServer(store PrimaryStore) *Server { return &Server{store} }

// Handlers are the functions by kind of call, for the transport.
func (s *Server) Handlers() map[string]func(ctx context.Context, body []byte) ([]byte, error) {
	return map[string]func(context.Context, []byte) ([]byte, error){
		KindEnsure:  handler(s.ensure),
		KindCreate:  handler(s.create),
		KindGroups:  handler(s.groups),
		KindMembers: handler(s.members),
	}
}

// handler turns a refusal into an answer. Everything else that fails is an outage.
func handler[T any](f func(context.Context, T) (Entity, error)) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, body []byte) ([]byte, error) {
		var in T
		if err := decode(body, &in); err != nil {
			return encode(Entity{Refused: fmt.Sprintf("the question is not understood (run the same version on both clusters): %v", err)}), nil
		}
		out, err := f(ctx, in)
		if no, ok := err.(refusal); ok { //nolint:errorlint // made here, never wrapped
			return encode(Entity{Refused: no.reason}), nil
		}
		if err != nil {
			return nil, err
		}
		return encode(out), nil
	}
}

// sharedMount refuses what a secondary has no say in.
func (s *Server) sharedMount(accessor, typ string) error {
	is, local, ok := s.store.AuthMount(accessor)
	switch {
	case !ok:
		return refusal{fmt.Sprintf("there is no auth mount with accessor %q on the primary", accessor)}
	case local:
		return refusal{fmt.Sprintf("the auth mount with accessor %q is local to the primary", accessor)}
	case typ != "" && is != typ:
		return refusal{fmt.Sprintf("the auth mount with accessor %q is of type %q on the primary, not %q", accessor, is, typ)}
	}
	return nil
}

func (s *Server) ensure(ctx context.Context, e Ensure) (Entity, error) {
	if e.Name == "" || e.Type == "" {
		return Entity{}, refusal{"an alias needs a name and the type of its mount"}
	}
	if err := s.sharedMount(e.Accessor, e.Type); err != nil {
		return Entity{}, err
	}
	id, err := s.store.EnsureEntity(ctx, &logical.Alias{
		MountAccessor: e.Accessor, MountType: e.Type, Name: e.Name,
		Metadata: e.Metadata, CustomMetadata: e.Custom,
	})
	if err != nil {
		return Entity{}, err
	}
	if e.Refresh {
		if err := s.store.RefreshGroups(ctx, id, e.Accessor, e.Groups); err != nil {
			return Entity{}, err
		}
	}
	return Entity{ID: id}, nil
}

func (s *Server) create(ctx context.Context, _ Entity) (Entity, error) {
	id, stored, err := s.store.CreateEntity(ctx)
	return Entity{ID: id, Stored: stored}, err
}

// groups takes a mount that the primary does not have only when it brings no
// group: that is a local mount of the secondary, which can have no group aliases.
func (s *Server) groups(ctx context.Context, g Groups) (Entity, error) {
	if g.EntityID == "" {
		return Entity{}, refusal{"an entity is missing"}
	}
	if len(g.Aliases) > 0 {
		if err := s.sharedMount(g.Accessor, ""); err != nil {
			return Entity{}, err
		}
	}
	return Entity{ID: g.EntityID}, s.store.RefreshGroups(ctx, g.EntityID, g.Accessor, g.Aliases)
}

func (s *Server) members(ctx context.Context, m Members) (Entity, error) {
	if m.GroupID == "" {
		return Entity{}, refusal{"a group is missing"}
	}
	return Entity{}, s.store.ChangeMembers(ctx, m.GroupID, m.Add, m.Remove)
}
