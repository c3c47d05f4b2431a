// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"maps"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// path has one operation, and a name and a value as fields.
func path(pattern string, op logical.Operation, synopsis string, call framework.OperationFunc) *framework.Path {
	return &framework.Path{
		Pattern: pattern, HelpSynopsis: synopsis,
		Fields:     with(name(), map[string]*framework.FieldSchema{"value": {Type: framework.TypeString}}),
		Operations: map[logical.Operation]framework.OperationHandler{op: &framework.PathOperation{Callback: call}},
	}
}

func name() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{"name": {Type: framework.TypeString}}
}

func with(fields, more map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	maps.Copy(fields, more)
	return fields
}

func store(ctx context.Context, s logical.Storage, key string, value any) error {
	entry, err := logical.StorageEntryJSON(key, value)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

// show answers with what is stored, or with nothing.
func show(ctx context.Context, s logical.Storage, key string) (*logical.Response, error) {
	entry, err := s.Get(ctx, key)
	if entry == nil || err != nil {
		return nil, err
	}
	data := map[string]any{}
	if err := entry.DecodeJSON(&data); err != nil {
		return nil, err
	}
	return &logical.Response{Data: data}, nil
}
