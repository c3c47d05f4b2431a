// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// Plugin is an entry of the catalog of replication plugins.
type Plugin struct {
	Name    string
	Command string
	// SHA256 is lower-case hexadecimal.
	SHA256  string
	Args    []string
	Env     []string // "name=value"; never shown again
	Version string
	// Builtin is true for a binary that is registered by default.
	Builtin bool
}

// Catalog keeps the replication plugins. Errors are of the contract.
type Catalog interface {
	List(ctx context.Context) ([]string, error)
	// Read returns nil without an error when there is no such plugin.
	Read(ctx context.Context, name string) (*Plugin, error)
	Write(ctx context.Context, p Plugin) error
	// Delete succeeds when there is no such plugin.
	Delete(ctx context.Context, name string) error
	// Reload starts the plugin's process anew.
	Reload(ctx context.Context, name string) error
}

// catalogHandlers serve the catalog of replication plugins.
type catalogHandlers struct{ catalog Catalog }

func (h catalogHandlers) paths() []*framework.Path {
	const prefix = "plugins/catalog/replication"
	display := &framework.DisplayAttributes{OperationPrefix: "replication-plugins"}
	name := &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the replication plugin.",
		Required: true}
	op := func(f call, verb, summary string) framework.OperationHandler {
		return &framework.PathOperation{
			Callback:     coding(f),
			Summary:      summary,
			DisplayAttrs: &framework.DisplayAttributes{OperationVerb: verb},
			Responses:    map[int][]framework.Response{http.StatusOK: {{Description: "OK"}}},
		}
	}
	list := op(h.list, "list", "List the replication plugins.")
	return []*framework.Path{
		{
			Pattern:      prefix + "/?$",
			DisplayAttrs: display,
			Operations: map[logical.Operation]framework.OperationHandler{logical.ListOperation: list,
				logical.ReadOperation: list},
			HelpSynopsis: "The catalog of replication plugins.",
		},
		{
			Pattern:      prefix + "/" + framework.GenericNameRegex("name") + "$",
			DisplayAttrs: display,
			Fields: map[string]*framework.FieldSchema{
				"name":    name,
				"sha256":  text("SHA-256 of the binary, hexadecimal."),
				"sha_256": text("The same, under the name that older clients use."),
				"command": text("File of the plugin directory to run, without arguments."),
				"args":    {Type: framework.TypeStringSlice, Description: "Arguments of the command."},
				"env": {Type: framework.TypeStringSlice, Description: "Environment of the command, as name=value. Not shown " +
					"again."},
				"version": text("Version of the plugin."),
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   op(h.read, "read", "Show a replication plugin."),
				logical.UpdateOperation: op(h.write, "register", "Register a replication plugin, or replace it."),
				logical.DeleteOperation: op(h.remove, "remove", "Remove a replication plugin from the catalog."),
			},
			HelpSynopsis: "An entry of the catalog of replication plugins.",
		},
		{
			Pattern:      "plugins/reload/replication/" + framework.GenericNameRegex("name") + "$",
			DisplayAttrs: display,
			Fields:       map[string]*framework.FieldSchema{"name": name},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: op(h.reload, "reload", "Start the process of a replication plugin anew."),
			},
			HelpSynopsis: "Reload a replication plugin without restarting the server.",
		},
	}
}

func (h catalogHandlers) list(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response,
	error) {
	names, err := h.catalog.List(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

func (h catalogHandlers) read(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	p, err := h.catalog.Read(ctx, d.Get("name").(string))
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, nil
	}
	// env is left out, as in Vault's own catalog, because it may hold a secret.
	return &logical.Response{Data: map[string]any{
		"name":    p.Name,
		"command": p.Command,
		"sha256":  p.SHA256,
		"args":    texts(p.Args),
		"version": p.Version,
		"builtin": p.Builtin,
	}}, nil
}

func (h catalogHandlers) write(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	p := Plugin{
		Name:    d.Get("name").(string),
		Command: d.Get("command").(string),
		SHA256:  d.Get("sha256").(string),
		Args:    d.Get("args").([]string),
		Env:     d.Get("env").([]string),
		Version: d.Get("version").(string),
	}
	if p.SHA256 == "" {
		p.SHA256 = d.Get("sha_256").(string)
	}
	if p.Command == "" || p.SHA256 == "" {
		return nil, invalid("command and sha256 are both needed to register a replication plugin")
	}
	return nil, h.catalog.Write(ctx, p)
}

func (h catalogHandlers) remove(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	return nil, h.catalog.Delete(ctx, d.Get("name").(string))
}

func (h catalogHandlers) reload(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response,
	error) {
	return nil, h.catalog.Reload(ctx, d.Get("name").(string))
}
