// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// localEntries and periodic are storage that stays on its cluster.
const (
	localEntries = "local/"
	periodic     = "periodic/"
)

func newSecrets(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	b := &framework.Backend{
		BackendType:  logical.TypeLogical,
		Help:         "A secrets engine for tests.",
		PathsSpecial: &logical.Paths{LocalStorage: []string{localEntries, periodic}, Unauthenticated: []string{"raw"}},
		Secrets:      []*framework.Secret{credential()},
		PeriodicFunc: func(ctx context.Context, req *logical.Request) error {
			return count(ctx, req.Storage, periodic+"runs")
		},
	}
	b.Paths = append(entries("entries"), entries("local")...)
	b.Paths = append(b.Paths, swallowPath(), counterPath("counter", "counter"), counterPath("runs", periodic+"runs"),
		credentialPath(b), markPath("renewed"), markPath("revoked"), failPath(), rawPath(), headersPath())
	return b, b.Setup(ctx, config)
}

// entries are written, read, listed and deleted below a prefix.
func entries(prefix string) []*framework.Path {
	key := func(d *framework.FieldData) string { return prefix + "/" + d.Get("name").(string) }
	get := func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		return show(ctx, req.Storage, key(d))
	}
	put := func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if _, ok := d.GetOk("value"); !ok {
			return logical.ErrorResponse("an entry needs a value"), nil
		}
		return nil, store(ctx, req.Storage, key(d), map[string]any{"value": d.Get("value"), "number": d.Get("number")})
	}
	remove := func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		return nil, req.Storage.Delete(ctx, key(d))
	}
	list := func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		keys, err := req.Storage.List(ctx, key(d))
		return logical.ListResponse(keys), err
	}
	return []*framework.Path{
		{
			Pattern: prefix + "/(?P<name>.+/)?$", Fields: name(), HelpSynopsis: "List entries.",
			Operations: map[logical.Operation]framework.OperationHandler{logical.ListOperation: &framework.PathOperation{
				Callback: list}},
		},
		{
			Pattern: prefix + "/(?P<name>.+)", HelpSynopsis: "An entry.",
			Fields: with(name(), map[string]*framework.FieldSchema{"value": {Type: framework.TypeString},
				"number": {Type: framework.TypeInt64}}),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   &framework.PathOperation{Callback: get},
				logical.UpdateOperation: &framework.PathOperation{Callback: put},
				logical.DeleteOperation: &framework.PathOperation{Callback: remove},
			},
		},
	}
}

// swallowPath writes shared storage and says nothing when that fails: an answer
// without an error is no proof of a write.
func swallowPath() *framework.Path {
	return path("swallow/(?P<name>.+)", logical.UpdateOperation, "Write an entry and ignore the error.",
		func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			_ = store(ctx, req.Storage, "entries/"+d.Get("name").(string), map[string]any{"value": d.Get("value")}) // on purpose
			return &logical.Response{Data: map[string]any{"done": true}}, nil
		})
}

// counterPath reads and raises a number in storage; the one of the periodic
// function is read only by what the tests do.
func counterPath(pattern, key string) *framework.Path {
	p := path(pattern+"$", logical.ReadOperation, "A number.", func(ctx context.Context, req *logical.Request,
		_ *framework.FieldData) (*logical.Response, error) {
		runs, err := load(ctx, req.Storage, key)
		return &logical.Response{Data: map[string]any{"runs": runs}}, err
	})
	p.Operations[logical.UpdateOperation] = &framework.PathOperation{Callback: func(ctx context.Context,
		req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		return nil, count(ctx, req.Storage, key)
	}}
	return p
}

func count(ctx context.Context, s logical.Storage, key string) error {
	runs, err := load(ctx, s, key)
	if err != nil {
		return err
	}
	entry, err := logical.StorageEntryJSON(key, runs+1)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

func load(ctx context.Context, s logical.Storage, key string) (runs int, err error) {
	entry, err := s.Get(ctx, key)
	if err != nil || entry == nil {
		return 0, err
	}
	return runs, entry.DecodeJSON(&runs)
}

const credentialType = "credential"

// credentialPath gives out a secret with a lease.
func credentialPath(b *framework.Backend) *framework.Path {
	return path("creds/(?P<name>.+)", logical.ReadOperation, "A credential with a lease.",
		func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			name := d.Get("name").(string)
			resp := b.Secret(credentialType).Response(map[string]any{"name": name, "secret": rand.Text()},
				map[string]any{"name": name})
			resp.Secret.TTL, resp.Secret.MaxTTL = 10*time.Minute, time.Hour
			return resp, nil
		})
}

// credential notes in shared storage that it was renewed and revoked.
func credential() *framework.Secret {
	mark := func(ctx context.Context, req *logical.Request, what string) error {
		return store(ctx, req.Storage, what+"/"+req.Secret.InternalData["name"].(string), map[string]any{"value": what})
	}
	return &framework.Secret{
		Type: credentialType,
		Renew: func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			resp := &logical.Response{Secret: req.Secret}
			resp.Secret.TTL = 5 * time.Minute
			return resp, mark(ctx, req, "renewed")
		},
		Revoke: func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			return nil, mark(ctx, req, "revoked")
		},
	}
}

func markPath(what string) *framework.Path {
	return path(what+"/(?P<name>.+)", logical.ReadOperation, "Whether a credential was "+what+".",
		func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			return show(ctx, req.Storage, what+"/"+d.Get("name").(string))
		})
}

// failPath answers with the errors that a plugin can make.
func failPath() *framework.Path {
	failures := map[string]error{
		"denied": logical.ErrPermissionDenied, "invalid": logical.ErrInvalidRequest,
		"unsupported": logical.ErrUnsupportedOperation,
		"coded":       logical.CodedError(http.StatusTeapot, "short and stout"), "error": errors.New("it went wrong"),
	}
	return path("fail/(?P<name>.+)", logical.ReadOperation, "Fail.",
		func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			return nil, failures[d.Get("name").(string)]
		})
}

// rawPath answers with a body and a status of its own.
func rawPath() *framework.Path {
	return path("raw$", logical.ReadOperation, "A raw answer.",
		func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return &logical.Response{Data: map[string]any{
				logical.HTTPContentType: "text/plain", logical.HTTPStatusCode: http.StatusAccepted,
				logical.HTTPRawBody: []byte("raw text"),
			}}, nil
		})
}

// headersPath writes an entry, and answers with the header X-Sent that it got, in the
// data and in the header X-Answered.
func headersPath() *framework.Path {
	return path("headers/(?P<name>.+)", logical.UpdateOperation, "Write an entry and say what header came along.",
		func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
			sent := req.Headers["X-Sent"]
			if err := store(ctx, req.Storage, "entries/"+d.Get("name").(string),
				map[string]any{"value": "with a header"}); err != nil {
				return nil, err
			}
			return &logical.Response{Data: map[string]any{"sent": sent}, Headers: map[string][]string{"X-Answered": sent,
				"X-Kept": {"from clients"}}}, nil
		})
}
