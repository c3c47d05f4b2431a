// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/operation"
)

// tokenCreate are the token store's paths that make tokens. Tokens are each
// cluster's own: these paths are never forwarded.
var tokenCreate = []string{"create", "create-orphan", "create/"}

// IsTokenCreate says whether a path of the token store, relative to it or as a
// pattern, makes tokens.
func IsTokenCreate(path string) bool {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "^"), "$")
	return slices.ContainsFunc(tokenCreate, func(p string) bool {
		return path == p || (strings.HasSuffix(p, "/") && strings.HasPrefix(path, p))
	})
}

// Ensurer gives an alias its entity: see [Secondary.EnsureTokenAlias].
type Ensurer interface {
	EnsureTokenAlias(ctx context.Context, accessor, name string) error
}

// DecorateTokenCreate makes a token store ask the primary for the entity of an entity_alias
// before its own handler runs, which then finds the entity. Call it before the token store
// serves. When returns the Ensurer while the cluster is a performance secondary, nil
// otherwise.
func DecorateTokenCreate(b *framework.Backend, when func() Ensurer) error {
	decorated := 0
	for _, p := range b.Paths {
		if !IsTokenCreate(p.Pattern) {
			continue
		}
		if decoratePath(b, p, when) {
			decorated++
		}
	}
	if decorated != len(tokenCreate) {
		return fmt.Errorf("the token store has %d paths that make tokens, not the %d that this release knows: use the "+
			"version of Vault that it names", decorated, len(tokenCreate))
	}
	return nil
}

func decoratePath(b *framework.Backend, p *framework.Path, when func() Ensurer) (found bool) {
	if stock := p.Callbacks[logical.UpdateOperation]; stock != nil { // the token store still uses it
		p.Callbacks[logical.UpdateOperation] = ensureFirst(b, stock, when)
		found = true
	}
	if op := p.Operations[logical.UpdateOperation]; op != nil {
		p.Operations[logical.UpdateOperation] = operation.Around(op,
			func(stock framework.OperationFunc) framework.OperationFunc {
				return ensureFirst(b, stock, when)
			})
		found = true
	}
	return found
}

func ensureFirst(b *framework.Backend, stock framework.OperationFunc, when func() Ensurer) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		ensurer := when()
		if ensurer == nil {
			return stock(ctx, req, d)
		}
		alias, err := allowedAlias(ctx, b, req, d)
		if err != nil {
			return nil, err
		}
		if alias != "" {
			if err := ensurer.EnsureTokenAlias(ctx, req.MountAccessor, alias); err != nil {
				return nil, err
			}
		}
		resp, err := stock(ctx, req, d)
		if errors.Is(err, logical.ErrReadOnly) {
			return nil, unavailable(errors.New("the entity of the alias changed at the same moment"))
		}
		return resp, err
	}
}

// allowedAlias returns the entity_alias of a request if its role allows it. Otherwise the
// stock handler refuses it, before it asks for the entity.
func allowedAlias(ctx context.Context, b *framework.Backend, req *logical.Request, d *framework.FieldData) (string,
	error) {
	role, alias := operation.Text(d, "role_name"), operation.Text(d, "entity_alias")
	if role == "" || alias == "" {
		return "", nil
	}
	resp, err := b.HandleRequest(ctx, &logical.Request{
		Operation: logical.ReadOperation,
		Path:      "roles/" + role,
		Storage:   req.Storage,
	})
	if err != nil {
		return "", fmt.Errorf("read of the token role %q: %w", role, err)
	}
	if resp == nil {
		return "", nil
	}
	allowed, _ := resp.Data["allowed_entity_aliases"].([]string)
	lower := strings.ToLower(alias)
	if strutil.StrListContains(allowed, lower) || strutil.StrListContainsGlob(allowed, lower) {
		return alias, nil
	}
	return "", nil
}

// tokenMountType is the type of the token store's mount.
const tokenMountType = "token"

// EnsureTokenAlias makes sure that an alias on the token mount has an entity here.
// It brings neither metadata nor groups.
func (s *Secondary) EnsureTokenAlias(ctx context.Context, accessor, name string) error {
	want := Ensure{Accessor: accessor, Type: tokenMountType, Name: name}
	if err := s.gate.enter(ctx, want); err != nil {
		return unavailable(err)
	}
	return s.ensureShared(ctx, want)
}
