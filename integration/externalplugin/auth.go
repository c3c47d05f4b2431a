// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// user may log in.
type user struct {
	Password string            `json:"password"`
	Policies []string          `json:"policies"`
	Metadata map[string]string `json:"metadata"`
}

func newAuth(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	b := &framework.Backend{
		BackendType:  logical.TypeCredential,
		Help:         "An auth method for tests.",
		PathsSpecial: &logical.Paths{Unauthenticated: []string{"login"}},
		AuthRenew:    renew,
		Paths:        []*framework.Path{usersPath(), userPath(), loginPath()},
	}
	return b, b.Setup(ctx, config)
}

func usersPath() *framework.Path {
	return path("users/?$", logical.ListOperation, "List users.", func(ctx context.Context, req *logical.Request,
		_ *framework.FieldData) (*logical.Response, error) {
		keys, err := req.Storage.List(ctx, "users/")
		return logical.ListResponse(keys), err
	})
}

func userPath() *framework.Path {
	p := path("users/(?P<name>[^/]+)", logical.ReadOperation, "A user.", func(ctx context.Context, req *logical.Request,
		d *framework.FieldData) (*logical.Response, error) {
		u, err := find(ctx, req.Storage, d.Get("name").(string))
		if u == nil || err != nil {
			return nil, err
		}
		return &logical.Response{Data: map[string]any{"policies": u.Policies, "metadata": u.Metadata}}, nil
	})
	p.Fields = with(p.Fields, map[string]*framework.FieldSchema{
		"password": {Type: framework.TypeString}, "policies": {Type: framework.TypeCommaStringSlice},
		"metadata": {Type: framework.TypeKVPairs},
	})
	p.Operations[logical.UpdateOperation] = &framework.PathOperation{Callback: func(ctx context.Context,
		req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		return nil, store(ctx, req.Storage, "users/"+d.Get("name").(string), user{
			d.Get("password").(string), d.Get("policies").([]string), d.Get("metadata").(map[string]string),
		})
	}}
	p.Operations[logical.DeleteOperation] = &framework.PathOperation{Callback: func(ctx context.Context,
		req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		return nil, req.Storage.Delete(ctx, "users/"+d.Get("name").(string))
	}}
	return p
}

func loginPath() *framework.Path {
	p := path("login", logical.UpdateOperation, "Log in.", login)
	p.Fields = with(p.Fields, map[string]*framework.FieldSchema{"password": {Type: framework.TypeString}})
	return p
}

func login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	u, err := find(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if u == nil || subtle.ConstantTimeCompare([]byte(u.Password), []byte(d.Get("password").(string))) != 1 {
		return nil, logical.ErrPermissionDenied
	}
	return &logical.Response{Auth: &logical.Auth{
		DisplayName: name, Policies: u.Policies, Metadata: u.Metadata, InternalData: map[string]any{"name": name},
		Alias:        &logical.Alias{Name: name, Metadata: u.Metadata},
		LeaseOptions: logical.LeaseOptions{TTL: 20 * time.Minute, MaxTTL: time.Hour, Renewable: true},
	}}, nil
}

func renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	u, err := find(ctx, req.Storage, req.Auth.InternalData["name"].(string))
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, errors.New("the user is gone: log in as another")
	}
	return &logical.Response{Auth: req.Auth}, nil
}

func find(ctx context.Context, s logical.Storage, name string) (*user, error) {
	entry, err := s.Get(ctx, "users/"+name)
	if entry == nil || err != nil {
		return nil, err
	}
	u := &user{}
	return u, entry.DecodeJSON(u)
}
