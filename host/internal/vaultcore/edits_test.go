// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/physical/raft"
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

// awaitGoroutine waits until a goroutine of this process waits in a way, with a function below it.
func awaitGoroutine(t *testing.T, waits, function string) {
	t.Helper()
	stacks := make([]byte, 16<<20)
	require.Eventually(t, func() bool {
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			head, below, _ := strings.Cut(g, "\n")
			if strings.Contains(head, "["+waits) && strings.Contains(below, function) {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond, "%s in %s", waits, function)
}

// Vault stops the autopilot of raft under a lock, and waits for a routine that may be about to take that lock. Then a
// seal, a step-down, a change of role or a restore of a snapshot never ended, and raft answered nobody. The copy of
// Vault waits without the lock.
func TestAutopilotIsStoppedWhileItLooks(t *testing.T) {
	store, err := raft.NewRaftBackend(map[string]string{
		"path": t.TempDir(), "node_id": "node", "autopilot_update_interval": "1ms",
	}, hclog.NewNullLogger())
	require.NoError(t, err)
	b := store.(*raft.RaftBackend)
	require.NoError(t, b.Bootstrap([]raft.Peer{{ID: "node", Address: "node"}}))
	require.NoError(t, b.SetupCluster(t.Context(), raft.SetupOpts{StartAsLeader: true}))
	b.SetupAutopilot(t.Context(), &raft.AutopilotSetupOptions{
		FollowerStates:      raft.NewFollowerStates(),
		SavePersistedStates: func(map[string]raft.PersistedFollowerState) error { return nil },
	})

	// Who reads a snapshot holds the lock until it is there, so that both others wait for it, in this order.
	snapshot, comes := io.Pipe()
	go func() { _, _, _, _ = b.WriteSnapshotToTemp(snapshot, nil) }()
	awaitGoroutine(t, "select", "WriteSnapshotToTemp")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.StopAutopilot()
	}()
	awaitGoroutine(t, "sync.RWMutex.Lock", "StopAutopilot")
	awaitGoroutine(t, "sync.RWMutex.RLock", "runStateUpdater")
	require.NoError(t, comes.Close())
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("the autopilot is not stopped, and raft waits for it")
	}
	require.NoError(t, b.TeardownCluster(nil))
}
