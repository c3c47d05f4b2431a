// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"fmt"

	"github.com/hashicorp/vault/sdk/helper/consts"
)

// Mode is a kind of replication. A cluster has one role in each mode.
type Mode string

// The two modes, spelled as in the paths below sys/replication/.
const (
	// DR is disaster recovery: everything but node-own state is replicated and
	// the secondary serves nothing until it is promoted.
	DR Mode = "dr"
	// Performance replicates shared state only; the secondary serves clients.
	Performance Mode = "performance"
)

// ParseMode returns the mode spelled s, or an error that names the choices.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case DR, Performance:
		return m, nil
	default:
		return "", fmt.Errorf("unknown replication mode %q: use %q or %q", s, DR, Performance)
	}
}

// ALPN is the protocol name of the mode on Vault's cluster port.
func (m Mode) ALPN() string {
	if m == Performance {
		return consts.PerformanceReplicationALPN
	}
	return consts.DRReplicationALPN
}

// Role is what a cluster is in one mode. The words are those of the status
// field "mode" and of sys/health.
type Role string

// The roles. Bootstrapping is shown by status only, never stored: a cluster
// whose adoption is committed is a Secondary whose copy has not ended.
const (
	Disabled      Role = "disabled"
	Primary       Role = "primary"
	Secondary     Role = "secondary"
	Bootstrapping Role = "bootstrapping"
)

// State is what a cluster is doing in its role: the status field "state".
type State string

// The states, in the words of the documented status field.
const (
	Running    State = "running"     // primary, healthy
	StreamWALs State = "stream-wals" // secondary, applying live rows
	MerkleDiff State = "merkle-diff" // secondary, comparing with the primary
	MerkleSync State = "merkle-sync" // secondary, copying
	Idle       State = "idle"        // secondary without a working primary
)

// ConnectionState is the status field "connection_state" of a secondary: the
// lower-cased connectivity of its link to the primary.
type ConnectionState string

// The connection states of the documented status field.
const (
	ConnIdle             ConnectionState = "idle"
	ConnConnecting       ConnectionState = "connecting"
	ConnReady            ConnectionState = "ready"
	ConnTransientFailure ConnectionState = "transient_failure"
	ConnShutdown         ConnectionState = "shutdown"
)
