// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// observed keeps the last observation of each kind.
type observed map[string]map[string]any

func (o observed) RecordObservationFromPlugin(_ context.Context, kind string, data map[string]any) error {
	o[kind] = data
	return nil
}

// The sdk that is linked does not say under which name it has restored a key of transit. The
// copy of Vault says it all the same (scripts/vaultsource).
func TestRestoredKeyIsObservedUnderItsName(t *testing.T) {
	t.Parallel()
	seen, storage := observed{}, &logical.InmemStorage{}
	b, err := transit.Factory(t.Context(), &logical.BackendConfig{
		System: logical.TestSystemView(), StorageView: storage, ObservationRecorder: seen,
	})
	require.NoError(t, err)
	send := func(op logical.Operation, path string, data map[string]any) *logical.Response {
		r, err := b.HandleRequest(t.Context(), &logical.Request{Operation: op, Path: path, Data: data, Storage: storage})
		require.NoError(t, err, path)
		require.False(t, r.IsError(), "%s: %v", path, r)
		return r
	}
	send(logical.UpdateOperation, "keys/own", map[string]any{"exportable": true, "allow_plaintext_backup": true})
	send(logical.UpdateOperation, "keys/own/config", map[string]any{"deletion_allowed": true})
	backup := send(logical.ReadOperation, "backup/own", nil).Data["backup"]
	send(logical.DeleteOperation, "keys/own", nil)

	for path, name := range map[string]string{"restore/other": "other", "restore": "own"} {
		send(logical.UpdateOperation, path, map[string]any{"backup": backup})
		require.Equal(t, name, seen[transit.ObservationTypeTransitKeyRestore]["key_name"])
		require.Equal(t, name, send(logical.ReadOperation, "keys/"+name, nil).Data["name"])
	}
	_, err = b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "restore",
		Data: map[string]any{"backup": backup}, Storage: storage})
	require.ErrorContains(t, err, "already exists", "the error of the restore is not lost")
}
