// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// statusHandlers show the status of each mode.
type statusHandlers struct{ Options }

func (h statusHandlers) paths() []*framework.Path {
	all := endpoint{
		pattern: "replication/status", op: logical.ReadOperation, verb: "read", noun: "status",
		synopsis: "Status of replication in each mode.",
		response: map[string]*framework.FieldSchema{},
		handle:   h.readStatus,
	}
	list := []endpoint{all}
	for _, mode := range replication.Modes() {
		name, synopsis := string(mode), "Status of "+mode.Name()+" replication."
		all.response[name] = &framework.FieldSchema{Type: framework.TypeMap, Description: synopsis}
		list = append(list, endpoint{
			pattern: "replication/" + name + "/status", op: logical.ReadOperation, verb: "read", noun: name + "-status",
			synopsis: synopsis, response: statusFields(), handle: h.readModeStatus(mode),
		})
	}
	return paths(list)
}

func (h statusHandlers) readStatus(ctx context.Context, req *logical.Request, _ *framework.FieldData) (
	*logical.Response, error) {
	if statusDisabled(ctx) {
		return nil, errDisabledPath
	}
	data, d := map[string]any{}, h.detailsFor(ctx, req)
	for _, mode := range replication.Modes() {
		s, err := h.Controller.Status(ctx, mode)
		if err != nil {
			return nil, err
		}
		data[string(mode)] = h.withMounts(ctx, req, mode, render(mode, s, d))
	}
	return &logical.Response{Data: data}, nil
}

func (h statusHandlers) readModeStatus(mode replication.Mode) call {
	return func(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		if statusDisabled(ctx) {
			return nil, errDisabledPath
		}
		s, err := h.Controller.Status(ctx, mode)
		if err != nil {
			return nil, err
		}
		return &logical.Response{Data: h.withMounts(ctx, req, mode, render(mode, s, h.detailsFor(ctx, req)))}, nil
	}
}

// withMounts names in each slot the mounts whose changes its secondary does not have, for a token that may list them.
func (h statusHandlers) withMounts(ctx context.Context, req *logical.Request, mode replication.Mode,
	data map[string]any) map[string]any {
	all, _ := data["slots"].([]map[string]any)
	if len(all) == 0 || h.Behind == nil {
		return data
	}
	list := *req
	list.Path = "mounts"
	if !h.detailsFor(ctx, &list) {
		return data
	}
	for _, slot := range all {
		behind, err := h.Behind(ctx, mode, slot["id"].(string))
		if err != nil {
			continue // the slot has been closed meanwhile
		}
		mounts := []map[string]any{}
		for _, path := range slices.Sorted(maps.Keys(behind.Changes)) {
			if path != "" {
				mounts = append(mounts, map[string]any{"path": path, "changes": behind.Changes[path]})
			}
		}
		slot["behind"] = map[string]any{"mounts": mounts, "other_changes": behind.Changes[""], "complete": behind.All}
	}
	return data
}

// detailsFor asks for the token of a request, which the status itself does not need.
func (h statusHandlers) detailsFor(ctx context.Context, req *logical.Request) details {
	return details(h.MayRead != nil && h.MayRead(ctx, req))
}

// errDisabledPath is for listeners that do not serve the status.
var errDisabledPath = replication.Errorf(replication.Denied, "disabled path")

// statusDisabled honours the listener's disable_replication_status_endpoints.
func statusDisabled(ctx context.Context) bool {
	disabled, ok := logical.ContextDisableReplicationStatusEndpointsValue(ctx)
	return ok && disabled
}

func statusFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"mode": {Type: framework.TypeString, Description: "disabled, bootstrapping, primary or secondary.",
			Required: true},
		"corrupted_merkle_tree": {Type: framework.TypeBool, Description: "Result of the last check."},
		"consistent": {Type: framework.TypeBool, Description: "On a secondary: whether the content is exactly " +
			"that of the primary at last_remote_wal."},
		"reindex_in_progress": {Type: framework.TypeBool, Description: "True while the index is computed anew."},
		"merkle_sync_progress": {Type: framework.TypeMap, Description: "sync_progress and sync_total_keys of a copy under " +
			"way. The total is an estimate that is corrected while the copy runs, and 0 until the first keys have come " +
			"from a primary that has not counted its own."},
	}
	for _, name := range []string{"cluster_id", "merkle_root", "primary_cluster_addr", "state", "last_error",
		"last_corruption_check_epoch", "last_reindex_epoch", "secondary_id", "last_start", "connection_state",
		"reindex_stage"} {
		fields[name] = &framework.FieldSchema{Type: framework.TypeString}
	}
	for _, name := range []string{"last_wal", "last_dr_wal", "last_performance_wal", "last_remote_wal",
		"consistent_from_wal", "ssct_generation_counter", "reindex_building_progress", "reindex_building_total"} {
		fields[name] = &framework.FieldSchema{Type: framework.TypeInt64}
	}
	for _, name := range []string{"known_secondaries", "known_primary_cluster_addrs", "known_failover_cluster_addrs",
		"lacks"} {
		fields[name] = &framework.FieldSchema{Type: framework.TypeStringSlice}
	}
	for _, name := range []string{"secondaries", "primaries", "slots"} {
		fields[name] = &framework.FieldSchema{Type: framework.TypeSlice}
	}
	return fields
}
