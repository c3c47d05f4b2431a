// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const warnReindexing = "The index of the replicated content is being computed anew from the storage: the status " +
	"shows how far it is."

// reindexFields are the documented fields. They change nothing: the stored index is written
// by itself, and the index is always computed key by key.
func reindexFields(more map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"diff": {Type: framework.TypeBool, Description: "Compare key by key. This is always done."},
		"force": {Type: framework.TypeBool, Description: "Forget the present index at once, in place of replacing it " +
			"when the new one is complete."},
		"skip_flush": {Type: framework.TypeBool, Description: "Accepted and without effect: the index is stored by itself, " +
			"in the background."},
	}
	for name, f := range more {
		fields[name] = f
	}
	return fields
}

// indexPaths are those that Vault registers.
func (h *handlers) indexPaths() []*framework.Path {
	both := []replication.Mode{replication.DR, replication.Performance}
	indexes := indexHandlers{h.Controller}
	dr := map[string]*framework.FieldSchema{tokenField: operationTokenField}
	return paths([]endpoint{
		{
			pattern: "replication/reindex", op: logical.UpdateOperation, verb: "reindex", noun: "replication",
			synopsis: "Compute the index of the replicated content anew, of each mode.",
			fields:   reindexFields(nil), handle: indexes.reindex(both...),
		},
		{
			pattern: "replication/dr/secondary/reindex", op: logical.UpdateOperation, verb: "reindex", noun: "dr-secondary",
			synopsis: "Compute the index of the content of this DR secondary anew.",
			fields:   reindexFields(dr), handle: h.authorized(replication.DR, indexes.reindex(replication.DR)),
		},
	})
}

// addedIndexPaths are those that are documented and that Vault does not register.
func (h *handlers) addedIndexPaths() []*framework.Path {
	both := []replication.Mode{replication.DR, replication.Performance}
	indexes := indexHandlers{h.Controller}
	list := []endpoint{
		{
			pattern: "replication/merkle-check", op: logical.UpdateOperation, verb: "check", noun: "merkle",
			synopsis: "Compare the index of the replicated content with the storage, of each mode.",
			handle:   indexes.checkIndex(both...),
		},
		{
			pattern: "replication/dr/secondary/merkle-check", op: logical.UpdateOperation, verb: "check",
			noun:     "dr-secondary-merkle",
			synopsis: "Compare the index of the content of this DR secondary with the storage.",
			fields:   map[string]*framework.FieldSchema{tokenField: operationTokenField},
			handle:   h.authorized(replication.DR, indexes.checkIndex(replication.DR)),
		},
	}
	for _, mode := range both {
		name := string(mode)
		list = append(list, endpoint{
			pattern: "replication/" + name + "/reindex", op: logical.UpdateOperation, verb: "reindex", noun: name,
			synopsis: "Compute the index of the content of " + modeName(mode) + " replication anew.",
			fields:   reindexFields(nil), handle: indexes.reindex(mode),
		}, endpoint{
			pattern: "replication/" + name + "/merkle-check", op: logical.UpdateOperation, verb: "check", noun: name + "-merkle",
			synopsis: "Compare the index of the content of " + modeName(mode) + " replication with the storage.",
			handle:   indexes.checkIndex(mode),
		})
	}
	return paths(list)
}

// indexHandlers compute the indexes anew and check them.
type indexHandlers struct{ controller Controller }

// enabled returns the modes in which replication is enabled. It is an error if there are none.
func (h indexHandlers) enabled(modes []replication.Mode, what string) ([]replication.Mode, error) {
	var on []replication.Mode
	for _, mode := range modes {
		if role := h.controller.Role(mode); role != replication.Disabled && role != "" {
			on = append(on, mode)
		}
	}
	if len(on) == 0 {
		return nil, invalid("replication is not enabled on this cluster: there is no index to %s", what)
	}
	return on, nil
}

func (h indexHandlers) reindex(modes ...replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		on, err := h.enabled(modes, "compute")
		if err != nil {
			return nil, coded(err)
		}
		for _, mode := range on {
			if err := h.controller.Reindex(ctx, mode, d.Get("force").(bool)); err != nil {
				return nil, coded(err)
			}
		}
		return warn(warnReindexing, nil), nil
	}
}

// checkIndex answers in the documented form: a tree for each mode. A range that is wrong is
// told by its number, as a page.
func (h indexHandlers) checkIndex(modes ...replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		on, err := h.enabled(modes, "check")
		if err != nil {
			return nil, coded(err)
		}
		trees := map[string]any{}
		wrong := false
		for i, mode := range on {
			r, err := h.controller.CheckIndex(ctx, mode)
			if err != nil {
				return nil, coded(err)
			}
			wrong = wrong || r.Wrong
			var pages map[string]any
			for _, n := range r.Ranges {
				if pages == nil {
					pages = map[string]any{}
				}
				pages[strconv.Itoa(n)] = map[string]any{"corrupted": true, "subpages": []int{}}
			}
			trees[strconv.Itoa(i+1)] = map[string]any{
				"tree_type": "replicated", "mode": string(mode), "root_hash": base64.StdEncoding.EncodeToString(r.Root),
				"corrupted_subtree_root": r.Wrong, "corrupted_index_tuples_map": pages,
			}
		}
		return &logical.Response{Data: map[string]any{"merkle_corruption_report": map[string]any{
			"corrupted_root": wrong, "corrupted_tree_map": trees,
			"last_corruption_check_epoch": time.Now().UTC().Format(time.RFC3339),
		}}}, nil
	}
}
