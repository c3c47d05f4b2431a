// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// call is the handler of one endpoint. A nil response means 204.
type call func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error)

// endpoint describes one path with one operation.
type endpoint struct {
	pattern     string
	op          logical.Operation // update by default
	verb, noun  string            // for OpenAPI's operation ids
	synopsis    string
	description string
	fields      map[string]*framework.FieldSchema
	response    map[string]*framework.FieldSchema
	handle      call
}

func (e endpoint) path() *framework.Path {
	fields := e.fields
	if fields == nil {
		fields = map[string]*framework.FieldSchema{}
	}
	return &framework.Path{
		Pattern:         e.pattern,
		Fields:          fields,
		HelpSynopsis:    e.synopsis,
		HelpDescription: e.description,
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: "replication"},
		Operations: map[logical.Operation]framework.OperationHandler{
			cmp.Or(e.op, logical.UpdateOperation): &framework.PathOperation{
				Callback:     coding(e.handle),
				Summary:      e.synopsis,
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: e.verb, OperationSuffix: e.noun},
				Responses:    map[int][]framework.Response{http.StatusOK: {{Description: "OK", Fields: e.response}}},
			},
		},
	}
}

func paths(list []endpoint) []*framework.Path {
	out := make([]*framework.Path, len(list))
	for i, e := range list {
		out[i] = e.path()
	}
	return out
}

// warn answers 200 with warnings and without data, unless there is an error.
func warn(text string, more []string, err error) (*logical.Response, error) {
	if err != nil {
		return nil, err
	}
	resp := new(logical.Response)
	for _, w := range append([]string{text}, more...) {
		if w != "" {
			resp.AddWarning(w)
		}
	}
	return resp, nil
}

func text(description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeString, Description: description}
}

// clusterAddr checks the address of a cluster port, which may be empty.
func clusterAddr(name, addr string) error {
	if addr == "" {
		return nil
	}
	if err := clusteraddr.Check(addr); err != nil {
		return invalid("%s: %w", name, err)
	}
	return nil
}

// secondaryID checks the name of a secondary.
func secondaryID(id string) error {
	if id == "" {
		return invalid("id is missing: give the secondary a name that is unique at this primary")
	}
	if len(id) > 128 || strings.IndexFunc(id, func(r rune) bool {
		return !unicode.IsPrint(r) ||
			r == unicode.ReplacementChar
	}) >= 0 {
		return invalid("id has to be 1 to 128 printable characters")
	}
	return nil
}

// requireRole says in one sentence why the present role does not allow a call.
func (h *handlers) requireRole(mode replication.Mode, want replication.Role) error {
	return RequireRole(mode, h.Controller.Role(mode), want)
}

// RequireRole is an error unless a cluster has the wanted role in a mode.
func RequireRole(mode replication.Mode, is, want replication.Role) error {
	if is == replication.Bootstrapping {
		is = replication.Secondary
	}
	is = cmp.Or(is, replication.Disabled)
	name := mode.Name()
	switch {
	case is == want:
		return nil
	case want == replication.Disabled && is == replication.Primary:
		return invalid("this cluster is already a %s primary: disable it there first", name)
	case want == replication.Disabled:
		return invalid("this cluster is already a %s secondary: promote or disable it instead", name)
	case is == replication.Disabled:
		return invalid("%s replication is not enabled on this cluster, so it is no %s", name, want)
	default:
		return invalid("this cluster is a %s %s, and the request is for a %s", name, is, want)
	}
}
