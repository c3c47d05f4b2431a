// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// bootstrappingBodyMax bounds a request in bytes.
const bootstrappingBodyMax = 64 << 10

// WithoutCore serves requests outside of Vault's core, on a cluster that knows no tokens and policies. The gate lets in
// the key for an activation token, and on a performance secondary whose first copy has not ended also update-primary
// and recover. A DR operation token in the body, made from the primary's key shares, authorizes them.
func WithoutCore(o Options) http.Handler {
	if o.Activations == nil {
		o.Activations = new(activation.Client)
	}
	h := &handlers{o}
	paths := map[string]*framework.Path{}
	for _, p := range append(h.secondaryPaths(), h.primaryPaths()...) {
		paths["/v1/sys/"+p.Pattern] = p
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := h.withoutCore(w, r, paths[r.URL.Path])
		if err != nil {
			answer.Error(w, err)
			return
		}
		answer.JSON(w, http.StatusOK, map[string]any{"data": resp.Data, "warnings": resp.Warnings})
	})
}

func (h *handlers) withoutCore(w http.ResponseWriter, r *http.Request, path *framework.Path) (*logical.Response,
	error) {
	if path == nil {
		return nil, replication.Errorf(replication.NotFound, "this endpoint is not served on a cluster that "+
			"knows no tokens yet")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bootstrappingBodyMax))
	if err != nil {
		return nil, invalid("the request body cannot be read, or is larger than 64 KiB")
	}
	var data map[string]any
	if len(body) > 0 && jsonutil.DecodeJSON(body, &data) != nil {
		return nil, invalid("the request body is not a JSON object")
	}
	token, _ := data[tokenField].(string)
	name := strings.TrimPrefix(r.URL.Path, "/v1/")
	if err := h.Tokens.Allow(r.Context(), token,
		operationtoken.Use(name, data, operationtoken.Connection(r))); err != nil {
		return nil, err
	}
	d := &framework.FieldData{Raw: data, Schema: path.Fields}
	if err := d.Validate(); err != nil {
		return nil, invalid("the request cannot be used: %s", err)
	}
	// A client that goes away must not cut the change in two.
	return path.Operations[logical.UpdateOperation].Handler()(context.WithoutCancel(r.Context()),
		&logical.Request{Operation: logical.UpdateOperation, Path: strings.TrimPrefix(name, "sys/"), Data: data}, d)
}
