// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/operation"
)

// Reloader reloads backends of this cluster.
type Reloader interface {
	// ReloadMounts reloads the mounts at these paths, as they are given in a request.
	ReloadMounts(ctx context.Context, paths []string) error
	// ReloadPlugin reloads the mounts that run a plugin of a kind ("auth", "secret",
	// "database", or "unknown" for all of them) and says how many.
	ReloadPlugin(ctx context.Context, kind, name string) (int, error)
}

// DecorateReload makes sys/plugins/reload/ use a Reloader. Vault's own puts a bare backend
// into the route and releases the waiting requests to it before anybody can wrap it. Their
// writes would be refused, or seem to succeed. The Reloader answers as Vault does.
func DecorateReload(b *framework.Backend, r Reloader) error {
	found := 0
	for _, p := range b.Paths {
		pattern := strings.TrimPrefix(p.Pattern, "^")
		var ask reloadRequest
		switch {
		case pattern == "plugins/reload/backend$":
			ask = ofPluginOrMounts
		case strings.HasPrefix(pattern, "plugins/reload/(?P<type>"):
			ask = ofKind
		}
		h := p.Operations[logical.UpdateOperation]
		if ask == nil || h == nil {
			continue
		}
		p.Operations[logical.UpdateOperation] = operation.Around(h,
			func(framework.OperationFunc) framework.OperationFunc { return ask.carriedOut(r) })
		found++
	}
	if found != 2 {
		return fmt.Errorf("%d of the 2 paths that reload plugins were found", found)
	}
	return nil
}

// A reloadRequest reads a request and carries it out, or says what is wrong with it. It
// returns how many mounts were reloaded; the number has no meaning where the request names
// mounts.
type reloadRequest func(ctx context.Context, d *framework.FieldData, r Reloader) (reloaded int, invalid string,
	err error)

func ofPluginOrMounts(ctx context.Context, d *framework.FieldData, r Reloader) (int, string, error) {
	name, _ := d.Get("plugin").(string)
	mounts, _ := d.Get("mounts").([]string)
	switch {
	case name != "" && len(mounts) > 0:
		return 0, "plugin and mounts cannot be set at the same time", nil
	case name == "" && len(mounts) == 0:
		return 0, "plugin or mounts must be provided", nil
	case name == "":
		return len(mounts), "", r.ReloadMounts(ctx, mounts)
	}
	n, err := r.ReloadPlugin(ctx, "unknown", name)
	return n, "", err
}

func ofKind(ctx context.Context, d *framework.FieldData, r Reloader) (int, string, error) {
	kind, _ := d.Get("type").(string)
	name, _ := d.Get("name").(string)
	n, err := r.ReloadPlugin(ctx, kind, name)
	return n, "", err
}

func (ask reloadRequest) carriedOut(r Reloader) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		scope, _ := d.Get("scope").(string)
		if scope != "" && scope != "global" {
			return logical.ErrorResponse("reload scope must be omitted or 'global'"), nil
		}
		reloaded, invalid, err := ask(ctx, d, r)
		switch {
		case err != nil:
			return nil, err
		case invalid != "":
			return logical.ErrorResponse(invalid), nil
		}
		resp := &logical.Response{Data: map[string]any{"reload_id": req.ID}}
		if reloaded == 0 && scope == "" {
			resp.AddWarning("no plugins were reloaded")
		}
		if scope == "" {
			return resp, nil
		}
		if reloaded == 0 {
			resp.AddWarning("no plugins were reloaded locally (but they may be reloaded on other nodes)")
		}
		return logical.RespondWithStatusCode(resp, req, http.StatusAccepted)
	}
}
