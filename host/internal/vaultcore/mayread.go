// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// MayRead says whether the token of a request may read the request's path. It is for paths
// that need no token, for which the core has asked no policy. The answer is no without a
// token, with an unknown one, and from an address that the token is not bound to. The core
// must be handling the request.
func (c *Core) MayRead(ctx context.Context, req *logical.Request) bool {
	store := *pinned.Field[*vault.TokenStore](c.Core, "tokenStore")
	if store == nil || req.ClientToken == "" {
		return false
	}
	entry, err := store.Lookup(ctx, req.ClientToken)
	if err != nil || entry == nil {
		return false
	}
	from := ""
	if req.Connection != nil {
		from = req.Connection.RemoteAddr
	}
	if !cidrutil.RemoteAddrIsOk(from, entry.BoundCIDRs) {
		return false
	}
	can, err := c.Capabilities(ctx, req.ClientToken, req.MountPoint+req.Path)
	return err == nil && (slices.Contains(can, vault.ReadCapability) || slices.Contains(can, vault.RootCapability))
}
