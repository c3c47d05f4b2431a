// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Errors of AllowBatchToken. All of them mean that the token is no good.
var (
	ErrNoBatchToken = errors.New("the token is not a batch token: use an orphan batch token made on the primary, or a " +
		"DR operation token made from key shares")
	ErrNotOrphan    = errors.New("the batch token has a parent: make it with a token role that has orphan=true")
	ErrTokenExpired = errors.New("the batch token is unknown or has expired")
	ErrTokenAddress = errors.New("the batch token is bound to other client addresses (token_bound_cidrs)")
	ErrTokenPolicy  = errors.New("the policies of the batch token do not allow this request on this path with these " +
		"parameters")
)

// AllowBatchToken says whether an orphan batch token allows a request, by the
// policies in the token alone: a disaster-recovery secondary loads no entities.
// It decides as Vault does for a request with a token: by the client's address, the
// path (relative to the API root, as in policies: "sys/replication/…") and the
// parameters.
//
// WithinRequest says that the caller is a request that the core is handling. The
// core holds its state lock for it, and to take that a second time would wait for
// ever when a change of role waits in between.
func (c *Core) AllowBatchToken(ctx context.Context, token string, use *logical.Request, withinRequest bool) error {
	if !vault.IsBatchToken(token) {
		return ErrNoBatchToken
	}
	hold := func(f func() error) error { return pinned.WithState(c.Core, f) }
	if withinRequest {
		hold = func(f func() error) error { return f() }
	}
	return hold(func() error {
		store := *pinned.Field[*vault.TokenStore](c.Core, "tokenStore")
		policies := *pinned.Field[*vault.PolicyStore](c.Core, "policyStore")
		if store == nil || policies == nil {
			return errors.New("the node is not active: try again when it is")
		}
		ctx := namespace.RootContext(ctx)
		entry, err := store.Lookup(ctx, token)
		if err != nil || entry == nil {
			return ErrTokenExpired
		}
		if entry.Type != logical.TokenTypeBatch {
			return ErrNoBatchToken
		}
		if entry.Parent != "" {
			return ErrNotOrphan
		}
		if entry.TTL <= 0 || time.Now().After(time.Unix(entry.CreationTime, 0).Add(entry.TTL)) {
			return ErrTokenExpired
		}
		from := ""
		if use.Connection != nil {
			from = use.Connection.RemoteAddr
		}
		if !cidrutil.RemoteAddrIsOk(from, entry.BoundCIDRs) {
			return ErrTokenAddress
		}
		// A secondary's policies change below its policy cache.
		for _, name := range entry.Policies {
			pinned.InvalidatePolicy(policies, ctx, name, vault.PolicyTypeACL)
		}
		acl, err := policies.ACL(ctx, nil, map[string][]string{entry.NamespaceID: entry.Policies})
		if err != nil {
			return err
		}
		if !acl.AllowOperation(ctx, use, false).Allowed {
			return ErrTokenPolicy
		}
		return nil
	})
}
