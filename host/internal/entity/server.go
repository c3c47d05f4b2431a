// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// PrimaryStore is the identity store of the primary.
type PrimaryStore interface {
	// AuthMount is the auth mount with an accessor, if it is in service.
	AuthMount(accessor string) (vaultname.Mount, bool)
	// GroupMount returns the accessor of the mount that the alias of an external group
	// belongs to, "" if there is none.
	GroupMount(groupID string) (accessor string, err error)
	// GroupMounts returns the accessors for the external groups that an entity is a member
	// of.
	GroupMounts(entityID string) (accessors []string, err error)

	EnsureEntity(ctx context.Context, alias *logical.Alias) (entityID string, err error)
	CreateEntity(ctx context.Context) (entityID string, stored []byte, err error)
	RefreshGroups(ctx context.Context, entityID, accessor string, aliases []string) error
	ChangeMembers(ctx context.Context, groupID string, add, remove []string) error
}

// Audit writes to the audit devices of the primary. It fails when none took the
// entry.
type Audit interface {
	AuditRequest(ctx context.Context, in *logical.LogInput) error
	AuditResponse(ctx context.Context, in *logical.LogInput) error
}

// ServerOptions are what a Server works with.
type ServerOptions struct {
	Store PrimaryStore
	Audit Audit
	// Allowed says whether a secondary has the mount with a UUID. It must not change
	// aliases and groups of a mount that its paths filter hides. Nil allows all.
	Allowed func(secondaryID, uuid string) bool
	// Logger is told what was refused; nil for nobody.
	Logger hclog.Logger
}

// Server is the primary's side. It must run on the active node only.
type Server struct{ o ServerOptions }

// NewServer returns a Server.
func NewServer(o ServerOptions) *Server {
	o.Logger = cmp.Or(o.Logger, hclog.NewNullLogger())
	return &Server{o}
}

// Handler does what one kind of call asks for.
type Handler func(ctx context.Context, secondaryID string, body []byte) ([]byte, error)

// Handlers are the functions by kind of call, for the transport.
func (s *Server) Handlers() map[string]Handler {
	return map[string]Handler{
		KindEnsure:  handler(s, KindEnsure, s.ensure),
		KindCreate:  handler(s, KindCreate, s.create),
		KindGroups:  handler(s, KindGroups, s.groups),
		KindMembers: handler(s, KindMembers, s.members),
	}
}

// handler turns a refusal into an answer. Any other error is an outage.
func handler[T any](s *Server, kind string, f func(ctx context.Context, secondaryID string, in T) (Entity,
	error)) Handler {
	return func(ctx context.Context, id string, body []byte) ([]byte, error) {
		var in T
		if err := strictjson.Decode(body, &in); err != nil {
			return encode(Entity{Refused: fmt.Sprintf("the question is not understood (run the same version on both "+
				"clusters): %v", err)}), nil
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			return nil, err
		}
		out, err := s.audited(ctx, id, kind, fields, func() (Entity, error) { return f(ctx, id, in) })
		if no, ok := err.(refusal); ok { //nolint:errorlint // made here, never wrapped
			s.o.Logger.Warn("a change of identity that a secondary asked for was refused", "secondary", id, "kind", kind,
				"reason", no.reason)
			return encode(Entity{Refused: no.reason}), nil
		}
		if err != nil {
			return nil, err
		}
		return encode(out), nil
	}
}

// sharedMount refuses mounts that a secondary may not change. A mount that it must not see
// gets the answer of a mount that is not there.
func (s *Server) sharedMount(secondaryID, accessor, typ string) error {
	m, ok := s.o.Store.AuthMount(accessor)
	switch {
	case !ok || !m.Local && s.hidden(secondaryID, m):
		return refusal{fmt.Sprintf("there is no auth mount with accessor %q on the primary that this secondary may use",
			accessor)}
	case m.Local:
		return refusal{fmt.Sprintf("the auth mount with accessor %q is local to the primary", accessor)}
	case typ != "" && m.Type != typ:
		return refusal{fmt.Sprintf("the auth mount with accessor %q is of type %q on the primary, not %q", accessor, m.Type,
			typ)}
	}
	return nil
}

// hidden says whether a secondary's filter hides a mount. Tokens are on every
// cluster.
func (s *Server) hidden(secondaryID string, m vaultname.Mount) bool {
	return m.Type != tokenMountType && s.o.Allowed != nil && !s.o.Allowed(secondaryID, m.UUID)
}

// nothingWithheld refuses to change groups of mounts that the primary has and the secondary
// has not. A mount that the primary does not know is the secondary's own.
func (s *Server) nothingWithheld(secondaryID string, accessors ...string) error {
	for _, accessor := range accessors {
		if _, known := s.o.Store.AuthMount(accessor); !known {
			continue
		}
		if err := s.sharedMount(secondaryID, accessor, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) ensure(ctx context.Context, secondaryID string, e Ensure) (Entity, error) {
	if e.Name == "" || e.Type == "" {
		return Entity{}, refusal{"an alias needs a name and the type of its mount"}
	}
	if err := s.sharedMount(secondaryID, e.Accessor, e.Type); err != nil {
		return Entity{}, err
	}
	id, err := s.o.Store.EnsureEntity(ctx, &logical.Alias{
		MountAccessor: e.Accessor, MountType: e.Type, Name: e.Name,
		Metadata: e.Metadata, CustomMetadata: e.Custom,
	})
	if err != nil {
		return Entity{}, err
	}
	if e.Refresh {
		if err := s.o.Store.RefreshGroups(ctx, id, e.Accessor, e.Groups); err != nil {
			return Entity{}, err
		}
	}
	return Entity{ID: id}, nil
}

func (s *Server) create(ctx context.Context, _ string, _ Entity) (Entity, error) {
	id, stored, err := s.o.Store.CreateEntity(ctx)
	return Entity{ID: id, Stored: stored}, err
}

// groups accepts a mount that the primary does not have only without groups. It is a local
// mount of the secondary, which can have no group aliases. Without a mount the groups of
// all mounts change.
func (s *Server) groups(ctx context.Context, secondaryID string, g Groups) (Entity, error) {
	if g.EntityID == "" {
		return Entity{}, refusal{"an entity is missing"}
	}
	touched := []string{g.Accessor}
	if len(g.Aliases) > 0 {
		if err := s.sharedMount(secondaryID, g.Accessor, ""); err != nil {
			return Entity{}, err
		}
	} else if g.Accessor == "" {
		var err error
		if touched, err = s.o.Store.GroupMounts(g.EntityID); err != nil {
			return Entity{}, err
		}
	}
	if err := s.nothingWithheld(secondaryID, touched...); err != nil {
		return Entity{}, err
	}
	return Entity{ID: g.EntityID}, s.o.Store.RefreshGroups(ctx, g.EntityID, g.Accessor, g.Aliases)
}

func (s *Server) members(ctx context.Context, secondaryID string, m Members) (Entity, error) {
	if m.GroupID == "" {
		return Entity{}, refusal{"a group is missing"}
	}
	accessor, err := s.o.Store.GroupMount(m.GroupID)
	if err != nil {
		return Entity{}, err
	}
	if err := s.nothingWithheld(secondaryID, accessor); err != nil {
		return Entity{}, err
	}
	return Entity{}, s.o.Store.ChangeMembers(ctx, m.GroupID, m.Add, m.Remove)
}
