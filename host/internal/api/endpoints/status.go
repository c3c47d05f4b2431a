// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"strconv"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// details says whether a status has the fields that Vault's documentation does not promise
// to everybody.
type details bool

const (
	// withheld is for a request without a token that may read the path.
	withheld details = false
	shown    details = true
)

// render puts a status into the documented words and types: sequence numbers are
// JSON numbers; whatever ends in _epoch or _ms is a decimal string.
func render(mode replication.Mode, s *ModeStatus, d details) map[string]any {
	if s == nil || s.Role == replication.Disabled || s.Role == "" {
		return map[string]any{"mode": string(replication.Disabled)}
	}
	data := map[string]any{
		"mode":                        string(s.Role),
		"cluster_id":                  s.ClusterID,
		"merkle_root":                 s.Fingerprint.String(),
		"primary_cluster_addr":        s.Sessions.PrimaryClusterAddr,
		"state":                       string(s.Sessions.State),
		"corrupted_merkle_tree":       s.CorruptedMerkleTree,
		"last_corruption_check_epoch": strconv.FormatInt(s.LastCorruptionCheck.Unix(), 10),
		"last_reindex_epoch":          reindexEpoch(s.LastReindex),
		"ssct_generation_counter":     0, // of tokens of performance standbys, which this build has not
	}
	if s.Reindexing {
		data["reindex_in_progress"] = true
		data["reindex_stage"] = "building"
		data["reindex_building_progress"] = s.Indexed
		data["reindex_building_total"] = s.IndexTotal
	}
	if s.Sessions.LastError != "" {
		data["last_error"] = s.Sessions.LastError
	}
	if s.Contested {
		// Not in Vault's documentation either: the role was taken over by force beside a
		// cluster that may have it too.
		data["contested"] = true
	}
	if s.UnclassifiedKeys > 0 {
		// Not in Vault's documentation: a key that no release of replication knows.
		data["unclassified_keys"] = s.UnclassifiedKeys
	}
	if s.Role == replication.Primary {
		renderPrimary(data, mode, s, d)
	} else {
		renderSecondary(data, s, d)
	}
	return data
}

func renderPrimary(data map[string]any, mode replication.Mode, s *ModeStatus, d details) {
	data["known_secondaries"] = texts(s.Sessions.KnownSecondaries)
	data["secondaries"] = peers(s.Sessions.Secondaries, true)
	data["last_wal"] = s.LastWAL
	data["last_"+string(mode)+"_wal"] = s.LastModeWAL
	// Not in Vault's documentation: what is kept for each secondary, and whether it
	// still is.
	if d == shown {
		data["slots"] = slots(s.Slots)
	}
}

func slots(list []Slot) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for _, s := range list {
		m := map[string]any{
			"id": s.ID, "state": s.State, "retained_bytes": s.RetainedBytes,
			"retained_age_seconds": int64(s.RetainedAge.Seconds()), "acknowledged_wal": s.Acknowledged,
			"max_retained_bytes": s.MaxBytes, "max_retained_age_seconds": int64(s.MaxAge.Seconds()),
		}
		if s.Reason != "" {
			m["reason"] = s.Reason
		}
		out = append(out, m)
	}
	return out
}

func renderSecondary(data map[string]any, s *ModeStatus, d details) {
	data["secondary_id"] = s.Sessions.SecondaryID
	data["known_primary_cluster_addrs"] = texts(s.Sessions.KnownPrimaryClusterAddrs)
	if len(s.Sessions.FailoverAddrs) > 0 && d == shown {
		// Not in Vault's documentation either.
		data["known_failover_cluster_addrs"] = s.Sessions.FailoverAddrs
	}
	data["primaries"] = peers(s.Sessions.Primaries, false)
	data["last_remote_wal"] = s.LastRemoteWAL
	data["last_start"] = stamp(s.Sessions.LastStart)
	data["connection_state"] = string(s.Sessions.ConnectionState)
	// These two are not in Vault's documentation: a promotion without force waits
	// for the first, and the second says how long.
	data["consistent"] = s.Consistent
	data["consistent_from_wal"] = s.ConsistentFrom
	if s.Missing > 0 {
		data["missing_keys"] = s.Missing
	}
	if len(s.Lacks) > 0 {
		data["lacks"] = lacks(s.Lacks, d)
	}
	if s.Sessions.State == replication.MerkleSync {
		data["merkle_sync_progress"] = map[string]any{
			"sync_progress":   s.Sessions.SyncProgress,
			"sync_total_keys": s.Sessions.SyncTotal,
		}
	}
}

// lacks names paths of mounts, plugins and files of the server. So without a token it says
// only that there is something.
func lacks(list []string, d details) []string {
	if d == shown {
		return list
	}
	return []string{"something of the primary is missing here: the log of the active node says what, and so does this " +
		"field to a token that may read this path"}
}

func peers(list []replication.Peer, withID bool) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for _, p := range list {
		status := "disconnected"
		if p.Connected {
			status = "connected"
		}
		m := map[string]any{
			"api_address":                       p.APIAddress,
			"cluster_address":                   p.ClusterAddress,
			"connection_status":                 status,
			"last_heartbeat":                    stamp(p.LastHeartbeat),
			"last_heartbeat_duration_ms":        millis(p.LastHeartbeatDuration),
			"clock_skew_ms":                     millis(p.ClockSkew),
			"replication_primary_canary_age_ms": millis(p.CanaryAge),
		}
		if withID {
			m["node_id"] = p.NodeID
		}
		out = append(out, m)
	}
	return out
}

// texts makes an empty JSON list of no texts, rather than null.
func texts(list []string) []string { return append([]string{}, list...) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// reindexEpoch is "0" for never, unlike the corruption check's epoch, which is
// the zero time's.
func reindexEpoch(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.Unix(), 10)
}
