// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const warnReindexing = "The index of the replicated content is being computed anew from the storage: the status " +
	"shows how far it is."

// indexPaths are those that Vault registers, and those that it does not.
func (h *handlers) indexPaths() (registered, added []*framework.Path) {
	indexes := indexHandlers{h.Controller}
	reindex := endpoint{
		verb: "reindex", synopsis: "Compute the index of the replicated content anew",
		// The documented fields. All but force change nothing: the stored index is written by
		// itself, and the index is always computed key by key.
		fields: map[string]*framework.FieldSchema{
			"diff": {Type: framework.TypeBool, Description: "Compare key by key. This is always done."},
			"force": {Type: framework.TypeBool, Description: "Forget the present index at once, in place of replacing it " +
				"when the new one is complete."},
			"skip_flush": {Type: framework.TypeBool, Description: "Accepted and without effect: the index is stored by " +
				"itself, in the background."},
		},
	}
	check := endpoint{
		verb: "check", synopsis: "Compare the index of the replicated content with the storage",
	}
	of := func(e endpoint, pattern, noun, whose string, handle call) *framework.Path {
		e.pattern, e.noun, e.synopsis, e.handle = "replication/"+pattern, noun, e.synopsis+whose, handle
		return e.path()
	}
	all := replication.Modes()
	registered = append(registered, of(reindex, "reindex", "replication", ", of each mode.", indexes.reindex(all...)))
	added = append(added, of(check, "merkle-check", "merkle", ", of each mode.", indexes.checkIndex(all...)))
	for _, mode := range all {
		name, whose := string(mode), ", of "+mode.Name()+" replication."
		added = append(added,
			of(reindex, name+"/reindex", name, whose, indexes.reindex(mode)),
			of(check, name+"/merkle-check", name+"-merkle", whose, indexes.checkIndex(mode)))
		if mode.ServesClients() {
			continue
		}
		whose = ", of this " + mode.Name() + " secondary."
		again, compare := reindex, check
		again.fields, compare.fields = maps.Clone(reindex.fields), map[string]*framework.FieldSchema{}
		again.fields[tokenField], compare.fields[tokenField] = operationTokenField, operationTokenField
		registered = append(registered, of(again, name+"/secondary/reindex", name+"-secondary", whose,
			h.authorized(mode, indexes.reindex(mode))))
		added = append(added, of(compare, name+"/secondary/merkle-check", name+"-secondary-merkle", whose,
			h.authorized(mode, indexes.checkIndex(mode))))
	}
	return registered, added
}

// indexHandlers compute the indexes anew and check them.
type indexHandlers struct{ controller Controller }

// enabled returns the modes in which replication is enabled. It is an error if there are none.
func enabled(c Controller, modes []replication.Mode, none string) ([]replication.Mode, error) {
	on := slices.DeleteFunc(slices.Clone(modes), func(mode replication.Mode) bool {
		role := c.Role(mode)
		return role == replication.Disabled || role == ""
	})
	if len(on) == 0 {
		return nil, invalid("replication is not enabled on this cluster: there is %s", none)
	}
	return on, nil
}

func (h indexHandlers) reindex(modes ...replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		on, err := enabled(h.controller, modes, "no index to compute")
		if err != nil {
			return nil, err
		}
		for _, mode := range on {
			if err := h.controller.Reindex(ctx, mode, d.Get("force").(bool)); err != nil {
				return nil, err
			}
		}
		return warn(warnReindexing, nil, nil)
	}
}

// checkIndex answers in the documented form: a tree for each mode. A range that is wrong is
// told by its number, as a page.
func (h indexHandlers) checkIndex(modes ...replication.Mode) call {
	return func(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		on, err := enabled(h.controller, modes, "no index to check")
		if err != nil {
			return nil, err
		}
		trees := map[string]any{}
		wrong := false
		for i, mode := range on {
			r, err := h.controller.CheckIndex(ctx, mode)
			if err != nil {
				return nil, err
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
