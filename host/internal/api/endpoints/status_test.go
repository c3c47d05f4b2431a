// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

var heartbeat = time.Date(2024, 3, 4, 10, 5, 56, 0, time.FixedZone("", -5*3600))

func samplePeer() replication.Peer {
	return replication.Peer{
		NodeID: "dr-b", APIAddress: "https://b:8200", ClusterAddress: "https://b:8201", Connected: true,
		LastHeartbeat: heartbeat, LastHeartbeatDuration: 1500 * time.Microsecond, ClockSkew: -time.Millisecond,
		CanaryAge: 696 * time.Millisecond,
	}
}

func samplePrimary() *ModeStatus {
	return &ModeStatus{
		Role: replication.Primary, ClusterID: "set", Fingerprint: replication.Fingerprint{0x24, 0x94}, LastWAL: 1<<53 + 1,
		LastModeWAL: 223,
		Slots: []Slot{
			{ID: "dr-b", State: "active", RetainedBytes: 120, RetainedAge: 1500 * time.Millisecond, Acknowledged: 220,
				MaxBytes: 480, MaxAge: time.Minute},
			{ID: "dr-c", State: "lost", Reason: "it retained too much"},
		},
		Sessions: replication.Status{State: replication.Running, KnownSecondaries: []string{"dr-b"},
			Secondaries: []replication.Peer{samplePeer()}},
	}
}

func sampleSecondary() *ModeStatus {
	return &ModeStatus{
		Role: replication.Secondary, ClusterID: "set", LastRemoteWAL: 223, ConsistentFrom: 200, Consistent: true,
		LastReindex: time.Unix(1709564746, 0),
		Sessions: replication.Status{
			State: replication.StreamWALs, ConnectionState: replication.ConnReady, SecondaryID: "dr-b",
			PrimaryClusterAddr:       "https://a:8201",
			KnownPrimaryClusterAddrs: []string{"https://a:8201", "https://c:8201"}, Primaries: []replication.Peer{samplePeer()},
			LastStart: heartbeat,
		},
	}
}

// asJSON reads a status as it goes over the wire.
func asJSON(t *testing.T, f *fixture, path string) map[string]any {
	resp, status, err := f.do(t, logical.ReadOperation, path, nil)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	data, err := json.Marshal(resp.Data)
	require.NoError(t, err)
	var out map[string]any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&out))
	return out
}

func TestStatusOfPrimary(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	f.controller.status = samplePrimary()
	require.Equal(t, map[string]any{
		"mode": "primary", "cluster_id": "set", "merkle_root": "2494", "primary_cluster_addr": "", "state": "running",
		"corrupted_merkle_tree": false, "last_corruption_check_epoch": "-62135596800", "last_reindex_epoch": "0",
		"ssct_generation_counter": json.Number("0"), "last_wal": json.Number("9007199254740993"),
		"last_dr_wal":       json.Number("223"),
		"known_secondaries": []any{"dr-b"},
		"slots": []any{
			map[string]any{"id": "dr-b", "state": "active", "retained_bytes": json.Number("120"),
				"retained_age_seconds": json.Number("1"), "acknowledged_wal": json.Number("220"),
				"max_retained_bytes": json.Number("480"), "max_retained_age_seconds": json.Number("60")},
			map[string]any{"id": "dr-c", "state": "lost", "retained_bytes": json.Number("0"),
				"retained_age_seconds": json.Number("0"), "reason": "it retained too much",
				"acknowledged_wal": json.Number("0"), "max_retained_bytes": json.Number("0"),
				"max_retained_age_seconds": json.Number("0")},
		},
		"secondaries": []any{map[string]any{
			"node_id": "dr-b", "api_address": "https://b:8200", "cluster_address": "https://b:8201",
			"connection_status": "connected",
			"last_heartbeat":    "2024-03-04T10:05:56-05:00", "last_heartbeat_duration_ms": "1", "clock_skew_ms": "-1",
			"replication_primary_canary_age_ms": "696",
		}},
	}, asJSON(t, f, "replication/dr/status"))
}

func TestStatusOfSecondary(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Secondary)
	f.controller.status = sampleSecondary()
	got := asJSON(t, f, "replication/dr/status")
	require.NotContains(t, got["primaries"].([]any)[0], "node_id")
	delete(got, "primaries")
	require.Equal(t, map[string]any{
		"mode": "secondary", "cluster_id": "set", "merkle_root": "", "primary_cluster_addr": "https://a:8201",
		"state":                 "stream-wals",
		"corrupted_merkle_tree": false, "last_corruption_check_epoch": "-62135596800", "last_reindex_epoch": "1709564746",
		"ssct_generation_counter": json.Number("0"), "last_remote_wal": json.Number("223"),
		"last_start":   "2024-03-04T10:05:56-05:00",
		"secondary_id": "dr-b", "known_primary_cluster_addrs": []any{"https://a:8201", "https://c:8201"},
		"connection_state": "ready",
		"consistent":       true, "consistent_from_wal": json.Number("200"),
	}, got)

	f.controller.status.Sessions.FailoverAddrs = []string{"https://d:8201"}
	require.Equal(t, []any{"https://d:8201"}, asJSON(t, f, "replication/dr/status")["known_failover_cluster_addrs"])
	f.controller.status.Sessions.State = replication.MerkleSync
	f.controller.status.Sessions.SyncProgress, f.controller.status.Sessions.SyncTotal = 10, 40
	f.controller.status.Sessions.LastError = "the primary was away"
	got = asJSON(t, f, "replication/dr/status")
	require.Equal(t, map[string]any{"sync_progress": json.Number("10"), "sync_total_keys": json.Number("40")},
		got["merkle_sync_progress"])
	require.Equal(t, "the primary was away", got["last_error"])
}

// Keys without a class are in the status of both modes and roles, and only when
// there are some.
func TestStatusCountsUnclassifiedKeys(t *testing.T) {
	t.Parallel()
	for _, sample := range []func() *ModeStatus{samplePrimary, sampleSecondary} {
		for _, mode := range []replication.Mode{replication.DR, replication.Performance} {
			s := sample()
			require.NotContains(t, render(mode, s, shown), "unclassified_keys")
			s.UnclassifiedKeys = 3
			require.Equal(t, uint64(3), render(mode, s, shown)["unclassified_keys"])
		}
	}
}

// A role that another cluster may have too says so, and others do not.
func TestStatusSaysThatARoleIsContested(t *testing.T) {
	t.Parallel()
	for _, mode := range []replication.Mode{replication.DR, replication.Performance} {
		s := samplePrimary()
		require.NotContains(t, render(mode, s, shown), "contested")
		s.Contested = true
		require.Equal(t, true, render(mode, s, shown)["contested"])
	}
}

// What a secondary cannot do is listed, one sentence each in its order, and only
// when there is something; a primary has no such field.
func TestStatusSaysWhatASecondaryLacks(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Secondary)
	f.controller.status = sampleSecondary()
	require.NotContains(t, asJSON(t, f, "replication/dr/status"), "lacks")
	f.controller.status.Lacks = []string{"the plugin \"outside\" is not there", "audit device shared/ cannot be opened"}
	want := []any{"the plugin \"outside\" is not there", "audit device shared/ cannot be opened"}
	require.Equal(t, want, asJSON(t, f, "replication/dr/status")["lacks"])
	both := asJSON(t, f, "replication/status")
	require.Equal(t, want, both["dr"].(map[string]any)["lacks"])

	f = decorated(t, replication.Primary)
	f.controller.status = samplePrimary()
	f.controller.status.Lacks = []string{"of another role"}
	require.NotContains(t, asJSON(t, f, "replication/dr/status"), "lacks")
}

// Paths of mounts, files of the server, what is kept for whom and where else a set has
// clusters are for a token that may read the path; what Vault documents is for everybody.
func TestStatusWithoutATokenHasNoDetails(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Secondary)
	f.controller.status = sampleSecondary()
	f.controller.status.Lacks = []string{"audit device shared/ cannot be opened here: /var/log/audit.log",
		"mount kv/ could not be made"}
	f.controller.status.Sessions.FailoverAddrs = []string{"https://d:8201"}
	for _, f.token = range []string{"", "of-somebody-else"} {
		both := asJSON(t, f, "replication/status")["dr"].(map[string]any)
		require.Equal(t, both, asJSON(t, f, "replication/dr/status"))
		require.NotContains(t, both, "known_failover_cluster_addrs")
		require.Len(t, both["lacks"], 1, "how many there are is said too")
		require.NotContains(t, both["lacks"].([]any)[0], "audit")
		require.Equal(t, "dr-b", both["secondary_id"])
		require.Len(t, both["primaries"], 1)
	}

	f = decorated(t, replication.Primary)
	f.controller.status = samplePrimary()
	f.token = ""
	got := asJSON(t, f, "replication/dr/status")
	require.NotContains(t, got, "slots")
	require.Equal(t, []any{"dr-b"}, got["known_secondaries"])
	require.Len(t, got["secondaries"], 1)

	answer, ok := OwnStatus("/v1/sys/replication/dr/status", func(replication.Mode) *ModeStatus { return samplePrimary() })
	require.True(t, ok)
	require.NotContains(t, answer.Data, "slots", "nobody looks at a token during a change")
}

// What a secondary has not acknowledged is told by mount to a token that may list the mounts, and to no other.
func TestStatusNamesMountsToWhoMayListThem(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	f.controller.status = samplePrimary()
	for _, path := range []string{"replication/dr/status", "replication/status"} {
		slots := func(token string) []any {
			f.token = token
			got := asJSON(t, f, path)
			if dr, ok := got["dr"].(map[string]any); ok {
				got = dr
			}
			slots, _ := got["slots"].([]any)
			return slots
		}
		require.Empty(t, slots(""))
		require.Len(t, slots(reader), 2)
		require.NotContains(t, slots(reader)[0], "behind")
		require.Equal(t, map[string]any{
			"mounts": []any{
				map[string]any{"path": "auth/approle/", "changes": json.Number("1")},
				map[string]any{"path": "secret/", "changes": json.Number("2")},
			},
			"other_changes": json.Number("3"), "complete": true,
		}, slots(lister)[0].(map[string]any)["behind"])
		require.NotContains(t, slots(lister)[1], "behind", "it has no slot any more")
	}
}

func TestStatusWhenDisabled(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	disabled := map[string]any{"mode": "disabled"}
	require.Equal(t, disabled, asJSON(t, f, "replication/dr/status"))
	require.Equal(t, disabled, asJSON(t, f, "replication/performance/status"))
	require.Equal(t, map[string]any{"dr": disabled, "performance": disabled}, asJSON(t, f, "replication/status"))

	ctx := logical.CreateContextDisableReplicationStatusEndpoints(context.Background(), true)
	for _, path := range []string{"replication/status", "replication/dr/status", "replication/performance/status"} {
		_, err := f.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: path})
		require.EqualError(t, err, "disabled path")
	}
}

func TestStatusHasNoNullLists(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	f.controller.status = &ModeStatus{Role: replication.Primary}
	got := asJSON(t, f, "replication/dr/status")
	require.Equal(t, []any{}, got["known_secondaries"])
	require.Equal(t, []any{}, got["secondaries"])
	require.Equal(t, []any{}, got["slots"])
	f.controller.status = &ModeStatus{Role: replication.Secondary}
	got = asJSON(t, f, "replication/dr/status")
	require.Equal(t, []any{}, got["primaries"])
	require.Equal(t, "", got["last_start"])
}

// TestStockClientDecodes reads the status with Vault's own Go client.
func TestStockClientDecodes(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := f.HandleRequest(r.Context(), &logical.Request{Operation: logical.ReadOperation,
			Path: strings.TrimPrefix(r.URL.Path, "/v1/sys/")})
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(logical.LogicalResponseToHTTPResponse(resp))
	}))
	t.Cleanup(server.Close)
	client, err := api.NewClient(&api.Config{Address: server.URL})
	require.NoError(t, err)

	f.controller.status = samplePrimary()
	all, err := client.Sys().ReplicationStatus()
	require.NoError(t, err)
	require.Equal(t, "disabled", all.Performance.Mode)
	require.EqualValues(t, 1<<53+1, all.DR.LastWAL)
	require.EqualValues(t, 223, all.DR.LastDRWAL)
	require.Equal(t, "0", all.DR.LastReindexEpoch)
	require.Equal(t, api.ClusterInfo{
		NodeID: "dr-b", APIAddr: "https://b:8200", ClusterAddress: "https://b:8201", ConnectionStatus: "connected",
		LastHeartBeat:               "2024-03-04T10:05:56-05:00",
		LastHeartBeatDurationMillis: "1", ClockSkewMillis: "-1", ReplicationPrimaryCanaryAgeMillis: "696",
	}, all.DR.Secondaries[0])

	f.controller.status = sampleSecondary()
	one, err := client.Sys().ReplicationDRStatusWithContext(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 223, one.LastRemoteWAL)
	require.Equal(t, "dr-b", one.SecondaryID)
	require.Len(t, one.KnownPrimaryClusterAddrs, 2)
}
