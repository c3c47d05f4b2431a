// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Options are what the endpoints work with.
type Options struct {
	Controller Controller
	Primary    Primary
	Secondary  Secondary
	Filters    Filters
	Kept       Kept
	Tokens     OperationTokens
	// Activations may be nil for an activation.Client.
	Activations Activations
	// Catalog of replication plugins; nil leaves its paths out.
	Catalog Catalog
	// MayRead says whether the token of a request may read the path, for paths that need no
	// token. Nil means no.
	MayRead func(ctx context.Context, req *logical.Request) bool
	// Behind names the mounts whose changes a secondary does not have. Nil leaves that out.
	Behind func(ctx context.Context, mode replication.Mode, secondary string) (*Behind, error)
	// APIAddr is the API address that this node gives to others. Nil means that there is one.
	APIAddr func() string
}

type handlers struct{ Options }

// Decorate replaces the replication stubs of Vault's system backend and adds the paths of
// the plugin catalog. Call it on the embedded *framework.Backend after the system backend
// was made and before it serves. An error means that this is not the Vault that the code
// was written for. Then the backend is unchanged.
func Decorate(b *framework.Backend, o Options) error {
	if o.Controller == nil || o.Primary == nil || o.Secondary == nil || o.Filters == nil || o.Kept == nil ||
		o.Tokens == nil {
		return errors.New("the replication endpoints need a cluster, its filters, what it keeps and a verifier of " +
			"operation tokens")
	}
	if o.Activations == nil {
		o.Activations = new(activation.Client)
	}
	h := &handlers{o}
	byPattern := make(map[string]*framework.Path, len(b.Paths))
	for _, p := range b.Paths {
		if strings.HasPrefix(p.Pattern, "^replication/") {
			return errors.New("the replication endpoints were put in place after the system backend began to serve")
		}
		byPattern[strings.TrimSuffix(p.Pattern, "$")] = p
	}
	indexes, added := h.indexPaths()
	kept, root := keptHandlers{h.Kept}.paths(h.authorized)
	added = append(added, kept...)
	wanted := slices.Concat(statusHandlers{o}.paths(), h.primaryPaths(), h.secondaryPaths(), h.filterPaths(), indexes)
	for _, p := range wanted {
		if byPattern[p.Pattern] == nil {
			return fmt.Errorf("this version of Vault does not register the path sys/%s: use the version that this server was "+
				"built for", p.Pattern)
		}
	}
	replaced := make(map[string]bool, len(wanted))
	for _, p := range wanted {
		replaced[p.Pattern] = true
		replace(byPattern[p.Pattern], p)
	}
	for _, p := range added {
		if byPattern[p.Pattern] == nil {
			b.Paths = append(b.Paths, p)
		}
		if _, ok := p.Fields[tokenField]; ok && b.PathsSpecial != nil {
			// As the other paths that take a DR operation token.
			b.PathsSpecial.Unauthenticated = append(b.PathsSpecial.Unauthenticated, p.Pattern)
		}
	}
	if b.PathsSpecial != nil {
		b.PathsSpecial.Root = append(b.PathsSpecial.Root, root...)
	}
	for pattern, p := range byPattern {
		if strings.HasPrefix(pattern, "replication/") && !replaced[pattern] {
			unavailable(p)
		}
	}
	h.guardRaft(byPattern)
	if o.Catalog != nil {
		// In front: the generic plugins/catalog pattern takes any name.
		b.Paths = append(catalogHandlers{h.Catalog}.paths(), b.Paths...)
	}
	return nil
}

// replace gives a stub another path's content. The pointer stays, as the stub's
// place in the list does.
func replace(stub, p *framework.Path) {
	pattern := stub.Pattern
	*stub = *p
	stub.Pattern = pattern
}

// unavailable makes a stub say what is missing in words that are true here.
func unavailable(p *framework.Path) {
	const text = "this endpoint is not available in this version of the replication server"
	for op := range p.Operations {
		p.Operations[op] = &framework.PathOperation{
			Summary: "Not available in this version.",
			Callback: coding(func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
				return nil, invalid(text)
			}),
		}
	}
}
