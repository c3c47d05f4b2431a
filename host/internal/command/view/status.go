// SPDX-License-Identifier: MPL-2.0

package view

// The words of the field "mode" of a status.
const (
	Primary   = "primary"
	Secondary = "secondary"
	Disabled  = "disabled"
)

// Streaming is the state of a secondary that applies what its primary writes.
const Streaming = "stream-wals"

// Mode is what sys/replication/status says of one mode. Vault's documentation of the
// replication API has its fields; those that it does not have are in docs/compatibility.md.
type Mode struct {
	// Role is "primary", "secondary", "bootstrapping" or "disabled".
	Role  string `json:"mode"`
	State string `json:"state"`
	// SetID is the same on all clusters of a replication set.
	SetID      string `json:"cluster_id"`
	MerkleRoot string `json:"merkle_root"`
	LastError  string `json:"last_error,omitempty"`
	Contested  bool   `json:"contested,omitempty"`

	// Of a primary: the sequence of the last entry that this mode replicates.
	LastDRWAL          uint64 `json:"last_dr_wal,omitempty"`
	LastPerformanceWAL uint64 `json:"last_performance_wal,omitempty"`
	// KnownSecondaries are the ids of all that were activated and not revoked.
	KnownSecondaries []string `json:"known_secondaries,omitempty"`
	Secondaries      []Peer   `json:"secondaries,omitempty"`
	Slots            []Slot   `json:"slots,omitempty"`

	// Of a secondary: the primary's sequence of what it has applied.
	LastRemoteWAL   uint64   `json:"last_remote_wal,omitempty"`
	SecondaryID     string   `json:"secondary_id,omitempty"`
	Primaries       []Peer   `json:"primaries,omitempty"`
	ConnectionState string   `json:"connection_state,omitempty"`
	Consistent      bool     `json:"consistent,omitempty"`
	MissingKeys     uint64   `json:"missing_keys,omitempty"`
	Lacks           []string `json:"lacks,omitempty"`
	FirstCopy       *Copied  `json:"merkle_sync_progress,omitempty"`
	Reindexing      bool     `json:"reindex_in_progress,omitempty"`
}

// LastWAL is the sequence of the last entry of the mode on a primary.
func (m *Mode) LastWAL() uint64 { return max(m.LastDRWAL, m.LastPerformanceWAL) }

// Copied is how far a copy of the primary's content is. Total is 0 while it is not known.
type Copied struct {
	Done  uint64 `json:"sync_progress"`
	Total uint64 `json:"sync_total_keys"`
}

// Peer is the other end of a session. Durations are decimal texts in milliseconds.
type Peer struct {
	NodeID         string `json:"node_id,omitempty"`
	APIAddress     string `json:"api_address"`
	ClusterAddress string `json:"cluster_address"`
	Connection     string `json:"connection_status"`
	// LastHeartbeat is RFC 3339, or empty if there was none.
	LastHeartbeat string `json:"last_heartbeat"`
	CanaryAge     string `json:"replication_primary_canary_age_ms"`
}

// Connected says whether the session stands.
func (p *Peer) Connected() bool { return p.Connection == "connected" }

// Slot is what a primary keeps for a secondary. It is shown to a token that may read the status.
type Slot struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	Bytes      uint64 `json:"retained_bytes"`
	AgeSeconds uint64 `json:"retained_age_seconds"`
	Reason     string `json:"reason,omitempty"`
	// MaxBytes and MaxAgeSeconds are the caps of both, 0 for none.
	MaxBytes      uint64 `json:"max_retained_bytes,omitempty"`
	MaxAgeSeconds uint64 `json:"max_retained_age_seconds,omitempty"`
	// Behind is shown to a token that may list the mounts too.
	Behind *Behind `json:"behind,omitempty"`
}

// Behind says what a secondary has not acknowledged, as far as its primary has it in memory.
type Behind struct {
	Mounts []Changed `json:"mounts"`
	// Others counts the changes that are of no mount.
	Others uint64 `json:"other_changes"`
	// Complete says that there are no more than these.
	Complete bool `json:"complete"`
}

// Changed is a mount whose changes a secondary does not have.
type Changed struct {
	Path    string `json:"path"`
	Changes uint64 `json:"changes"`
}

// Cluster is what one cluster says of itself.
type Cluster struct {
	// Address is where it was asked.
	Address string `json:"address"`
	// Active is the API address of its active node, if it names one.
	Active  string `json:"active_address,omitempty"`
	Name    string `json:"cluster_name,omitempty"`
	Version string `json:"version,omitempty"`
	Sealed  bool   `json:"sealed,omitempty"`

	DR          Mode `json:"dr"`
	Performance Mode `json:"performance"`

	// Error says why the cluster could not be asked. Then the rest is empty.
	Error string `json:"error,omitempty"`
}

// Of is what the cluster says of a mode, "dr" or "performance".
func (c *Cluster) Of(mode string) *Mode {
	if mode == DR {
		return &c.DR
	}
	return &c.Performance
}

// The modes, by the names that paths and fields have.
const (
	DR          = "dr"
	Performance = "performance"
)

// identity is the same for each address of a cluster.
func (c *Cluster) identity() string {
	if c.Active != "" {
		return c.Active
	}
	return c.Address
}
