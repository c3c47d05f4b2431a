// SPDX-License-Identifier: MPL-2.0

package replication

import (
	"fmt"
	"slices"

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

// traits distinguish the modes. Code asks for a trait instead of comparing modes, so that a new mode is one row of the
// table below.
type traits struct {
	mode Mode
	// name is the mode in the words of a sentence.
	name string
	alpn string
	// paths are the prefixes of the mode's endpoints, in sys/.
	paths                                              []string
	servesClients, replicatesLocal, standsIn, filtered bool
}

var table = []traits{
	{
		mode: DR, name: "DR", alpn: consts.DRReplicationALPN, paths: []string{"replication/dr/"},
		replicatesLocal: true, standsIn: true,
	},
	{
		mode: Performance, name: "performance", alpn: consts.PerformanceReplicationALPN,
		// Clients from before disaster recovery existed name no mode.
		paths:         []string{"replication/performance/", "replication/"},
		servesClients: true, filtered: true,
	},
}

// Modes are all modes.
func Modes() []Mode {
	modes := make([]Mode, len(table))
	for i, t := range table {
		modes[i] = t.mode
	}
	return modes
}

func (m Mode) traits() *traits {
	for i := range table {
		if table[i].mode == m {
			return &table[i]
		}
	}
	return &traits{name: string(m)}
}

// ParseMode returns the mode spelled s, or an error that names the choices.
func ParseMode(s string) (Mode, error) {
	if slices.Contains(Modes(), Mode(s)) {
		return Mode(s), nil
	}
	return "", fmt.Errorf("unknown replication mode %q: use one of %q", s, Modes())
}

// Name is the mode in the words of a sentence.
func (m Mode) Name() string { return m.traits().name }

// ALPN is the protocol name of the mode on Vault's cluster port.
func (m Mode) ALPN() string { return m.traits().alpn }

// Paths are the prefixes of the mode's endpoints, in sys/.
func (m Mode) Paths() []string { return slices.Clone(m.traits().paths) }

// ServesClients says that a secondary serves clients, with tokens, leases and local mounts of its own. If it serves
// none, its engines are inert and it knows no tokens: operations on it need a DR operation token.
func (m Mode) ServesClients() bool { return m.traits().servesClients }

// ReplicatesLocal says that a secondary gets the local class of keys too: tokens, leases and
// local mounts of its primary.
func (m Mode) ReplicatesLocal() bool { return m.traits().replicatesLocal }

// StandsIn says that a secondary stands in for its whole primary. It has no role in another
// mode, and takes over those of its primary when it is promoted.
func (m Mode) StandsIn() bool { return m.traits().standsIn }

// Filtered says that a paths filter may keep mounts from a secondary.
func (m Mode) Filtered() bool { return m.traits().filtered }

// Role is what a cluster is in one mode. The words are those of the status
// field "mode" and of sys/health.
type Role string

// The roles. Bootstrapping is only in the status, and is never stored: the stored role is Secondary, and the first copy
// has not ended.
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
