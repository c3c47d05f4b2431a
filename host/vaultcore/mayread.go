// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
)

// MayRead says whether the token that came with a request may read its path, where the
// path itself needs no token and the core has asked no policy. Without a token, with one
// that is unknown and from an address that it is not bound to the answer is no. It is for a
// request that the core is handling.
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
