// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Filters keeps the paths filters of performance secondaries.
type Filters interface {
	// PathsFilter is that of a secondary, on a primary; nil when there is none.
	PathsFilter(ctx context.Context, id string) (*filter.Rule, error)
	// SetPathsFilter puts a filter in force. When it returns, nothing that the filter
	// leaves out is sent to the secondary any more.
	SetPathsFilter(ctx context.Context, id string, f filter.Rule) error
	DeletePathsFilter(ctx context.Context, id string) error
	// DynamicFilter lists the mounts that the filter of a secondary leaves out now. Called
	// on that secondary, it lists what the secondary itself knows.
	DynamicFilter(ctx context.Context, id string) (mounts []string, err error)
}

// filterHandlers serve the paths filters of performance secondaries.
type filterHandlers struct {
	mode    replication.Mode
	filters Filters
	role    func(replication.Mode) replication.Role
}

// filterPaths are the endpoints of paths filters, for each mode that has such filters.
func (h *handlers) filterPaths() (all []*framework.Path) {
	for _, mode := range replication.Modes() {
		if mode.Filtered() {
			all = append(all, filterHandlers{mode, h.Filters, h.Controller.Role}.paths()...)
		}
	}
	return all
}

func (h filterHandlers) requireRole(want replication.Role) error {
	return RequireRole(h.mode, h.role(h.mode), want)
}

func (h filterHandlers) paths() []*framework.Path {
	prefix, name := "replication/"+string(h.mode)+"/", string(h.mode)
	id := map[string]*framework.FieldSchema{
		"id": {Type: framework.TypeString, Description: "Name of the secondary.", Required: true},
	}
	choice := &framework.Path{
		Pattern: prefix + "primary/paths-filter/" + framework.GenericNameRegex("id"),
		Fields: map[string]*framework.FieldSchema{
			"id": id["id"],
			"mode": {Type: framework.TypeString, Default: filter.Allow,
				Description: `"allow" sends the given paths alone, "deny" everything but them.`},
			"paths": {Type: framework.TypeCommaStringSlice, Description: `Paths of mounts, such as "secret/" or "auth/ldap/".`},
		},
		HelpSynopsis: "Choose which mounts a performance secondary gets.",
		HelpDescription: "What becomes filtered disappears from the secondary; what is allowed again is copied to it. " +
			"System mounts cannot be filtered, and local mounts never leave.",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: "replication",
			OperationSuffix: name + "-paths-filter"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: h.onPrimary(h.read),
				Summary: "Read the filter of a performance secondary."},
			logical.UpdateOperation: &framework.PathOperation{Callback: h.onPrimary(h.write),
				Summary: "Set the filter of a performance secondary."},
			logical.DeleteOperation: &framework.PathOperation{Callback: h.onPrimary(h.remove),
				Summary: "Remove the filter of a performance secondary."},
		},
	}
	list := []*framework.Path{choice}
	for _, side := range []replication.Role{replication.Primary, replication.Secondary} {
		list = append(list, endpoint{
			pattern: prefix + string(side) + "/dynamic-filter/" + framework.GenericNameRegex("id"),
			op:      logical.ReadOperation, verb: "read", noun: name + "-" + string(side) + "-dynamic-filter",
			synopsis: "List what the filter of a performance secondary leaves out now.",
			fields:   id,
			response: map[string]*framework.FieldSchema{
				"dynamic_filtered_mounts":     {Type: framework.TypeStringSlice},
				"dynamic_filtered_namespaces": {Type: framework.TypeStringSlice},
			},
			handle: h.dynamic(side),
		}.path())
	}
	return list
}

func (h filterHandlers) onPrimary(next call) framework.OperationFunc {
	return coding(func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if err := h.requireRole(replication.Primary); err != nil {
			return nil, err
		}
		return next(ctx, req, d)
	})
}

func (h filterHandlers) read(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	f, err := h.filters.PathsFilter(ctx, d.Get("id").(string))
	if err != nil || f == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"mode": f.Mode, "paths": texts(f.Paths)}}, nil
}

func (h filterHandlers) write(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	f := filter.Rule{Mode: d.Get("mode").(string)}
	if f.Mode == "" {
		f.Mode = filter.Allow // as if it was left out
	}
	if f.Mode != filter.Allow && f.Mode != filter.Deny {
		return nil, invalid("mode has to be %q or %q: nothing was changed", filter.Allow, filter.Deny)
	}
	for _, p := range d.Get("paths").([]string) {
		p = strings.Trim(p, "/") + "/"
		if p == "/" {
			return nil, invalid("paths has an empty path: give paths of mounts, such as secret/")
		}
		f.Paths = append(f.Paths, p)
	}
	slices.Sort(f.Paths)
	f.Paths = slices.Compact(f.Paths)
	return nil, h.filters.SetPathsFilter(ctx, d.Get("id").(string), f)
}

func (h filterHandlers) remove(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	return nil, h.filters.DeletePathsFilter(ctx, d.Get("id").(string))
}

func (h filterHandlers) dynamic(side replication.Role) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if err := h.requireRole(side); err != nil {
			return nil, err
		}
		mounts, err := h.filters.DynamicFilter(ctx, d.Get("id").(string))
		if err != nil {
			return nil, err
		}
		// The community server has the root namespace alone.
		return &logical.Response{Data: map[string]any{"dynamic_filtered_mounts": texts(mounts),
			"dynamic_filtered_namespaces": []string{}}}, nil
	}
}
