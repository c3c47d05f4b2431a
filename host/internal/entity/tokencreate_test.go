// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// ensured records what was asked for.
type ensured struct {
	names []string
	err   error
}

func (e *ensured) EnsureTokenAlias(_ context.Context, accessor, name string) error {
	e.names = append(e.names, accessor+"/"+name)
	return e.err
}

// tokens is a token store with a role "web" that allows "app-*".
func tokens(t *testing.T, created *int, err error) *framework.Backend {
	t.Helper()
	fields := map[string]*framework.FieldSchema{
		"role_name":    {Type: framework.TypeString},
		"entity_alias": {Type: framework.TypeString},
	}
	create := map[logical.Operation]framework.OperationFunc{
		logical.UpdateOperation: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			*created++
			return &logical.Response{}, err
		},
	}
	role := map[logical.Operation]framework.OperationFunc{
		logical.ReadOperation: func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
			error) {
			if d.Get("role_name") != "web" {
				return nil, nil
			}
			return &logical.Response{Data: map[string]any{"allowed_entity_aliases": []string{"app-*"}}}, nil
		},
	}
	path := func(pattern string, callbacks map[logical.Operation]framework.OperationFunc) *framework.Path {
		copied := map[logical.Operation]framework.OperationFunc{}
		for op, f := range callbacks {
			copied[op] = f
		}
		return &framework.Path{Pattern: pattern, Fields: fields, Callbacks: copied}
	}
	return &framework.Backend{Paths: []*framework.Path{
		path("create-orphan$", create),
		path("create/"+framework.GenericNameRegex("role_name"), create),
		path("create$", create),
		path("roles/"+framework.GenericNameRegex("role_name"), role),
	}}
}

func TestTokenCreateEnsuresTheAllowedAlias(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path, alias string
		want        []string
	}{
		"allowed":       {"create/web", "App-1", []string{"acc-token/App-1"}},
		"not allowed":   {"create/web", "root", nil},
		"unknown role":  {"create/none", "app-1", nil},
		"without alias": {"create/web", "", nil},
		"without role":  {"create", "app-1", nil},
		"orphan":        {"create-orphan", "app-1", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var created int
			asked := &ensured{}
			b := tokens(t, &created, nil)
			require.NoError(t, DecorateTokenCreate(b, func() Ensurer { return asked }))
			_, err := b.HandleRequest(t.Context(), &logical.Request{
				Operation: logical.UpdateOperation, Path: tt.path, MountAccessor: "acc-token",
				Data: map[string]any{"entity_alias": tt.alias},
			})
			require.NoError(t, err)
			require.Equal(t, tt.want, asked.names)
			require.Equal(t, 1, created, "the stock handler decides")
		})
	}
}

func TestTokenCreateNeverLeavesTheCluster(t *testing.T) {
	t.Parallel()
	create := &logical.Request{
		Operation: logical.UpdateOperation, Path: "create/web",
		Data: map[string]any{"entity_alias": "app-1"},
	}
	var created int
	b := tokens(t, &created, nil)
	require.NoError(t, DecorateTokenCreate(b, func() Ensurer { return &ensured{err: errors.New("down")} }))
	_, err := b.HandleRequest(t.Context(), create)
	require.ErrorContains(t, err, "down")
	require.Zero(t, created)

	b = tokens(t, &created, logical.ErrReadOnly)
	require.NoError(t, DecorateTokenCreate(b, func() Ensurer { return &ensured{} }))
	_, err = b.HandleRequest(t.Context(), create)
	var coded *logical.ReplicationCodedError
	require.ErrorAs(t, err, &coded, "read only would be forwarded, and the primary would make the token")
	require.Equal(t, http.StatusServiceUnavailable, coded.Code)

	b = tokens(t, &created, nil)
	require.NoError(t, DecorateTokenCreate(b, func() Ensurer { return nil }))
	_, err = b.HandleRequest(t.Context(), create)
	require.NoError(t, err)

	require.ErrorContains(t, DecorateTokenCreate(&framework.Backend{}, nil), "0 paths")
	for _, p := range []string{"create", "create$", "^create-orphan$", "create/web"} {
		require.True(t, IsTokenCreate(p), p)
	}
	for _, p := range []string{"roles/web", "renew-self", "creates"} {
		require.False(t, IsTokenCreate(p), p)
	}
}
