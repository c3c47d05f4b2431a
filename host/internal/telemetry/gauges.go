// SPDX-License-Identifier: MPL-2.0

package telemetry

import (
	"strings"
	"time"

	"github.com/armon/go-metrics"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Sink is where gauges go: Vault's, which adds the name of the cluster.
type Sink interface {
	SetGaugeWithLabels(key []string, val float32, labels []metrics.Label)
}

// gauges emits those of one mode.
type gauges struct {
	sink Sink
	mode replication.Mode
	now  time.Time
}

// Emit emits what a status says at a moment. A mode that is not in use has none.
func Emit(sink Sink, mode replication.Mode, s *endpoints.ModeStatus, now time.Time) {
	g := gauges{sink: sink, mode: mode, now: now}
	switch s.Role {
	case replication.Primary:
		g.primary(s)
	case replication.Secondary, replication.Bootstrapping:
		g.secondary(s)
	default:
		return
	}
	g.set("contested", truth(s.Contested))
	g.set("unclassified_keys", float64(s.UnclassifiedKeys))
	g.set("index.corrupted", truth(s.CorruptedMerkleTree))
	if !s.LastCorruptionCheck.IsZero() {
		g.set("index.check_age_seconds", now.Sub(s.LastCorruptionCheck).Seconds())
	}
	if s.Reindexing {
		// Vault emits core.replication.build_progress itself, always as 0.
		g.set("index.build_progress", float64(s.Indexed))
		g.set("index.build_total", float64(s.IndexTotal))
	}
}

func (g *gauges) primary(s *endpoints.ModeStatus) {
	g.documented(float64(s.LastWAL), []string{"replication", "wal", "last_wal"})
	g.documented(float64(s.LastModeWAL), []string{"replication", "wal", "last_" + string(g.mode) + "_wal"})
	g.set("working", truth(s.Sessions.State == replication.Running))
	g.set("secondaries", float64(len(s.Sessions.KnownSecondaries)))
	connected := map[string]replication.Peer{}
	for _, p := range s.Sessions.Secondaries {
		connected[p.NodeID] = p
	}
	// All that are registered, not those alone that the plugin has met: one that never came is one that is missing.
	for _, id := range s.Sessions.KnownSecondaries {
		p := connected[id]
		g.peer("secondary", p, metrics.Label{Name: "secondary", Value: id})
	}
	for _, slot := range s.Slots {
		g.slot(slot)
	}
}

// slotStates are numbers that grow with the trouble, so that an alert compares.
var slotStates = map[string]float64{"active": 0, "warning": 1, "lost": 2}

func (g *gauges) slot(s endpoints.Slot) {
	of := metrics.Label{Name: "secondary", Value: s.ID}
	g.set("slot.retained_bytes", float64(s.RetainedBytes), of)
	g.set("slot.retained_age_seconds", s.RetainedAge.Seconds(), of)
	g.set("slot.state", slotStates[s.State], of)
}

func (g *gauges) secondary(s *endpoints.ModeStatus) {
	g.documented(float64(s.LastRemoteWAL), []string{"replication", "fsm", "last_remote_wal"})
	g.set("working", truth(s.Sessions.State == replication.StreamWALs))
	g.set("consistent", truth(s.Consistent))
	g.set("missing_keys", float64(s.Missing))
	g.set("lacks", float64(len(s.Lacks)))
	var primary replication.Peer
	for _, p := range s.Sessions.Primaries {
		if p.Connected {
			primary = p
			break
		}
		if p.LastHeartbeat.After(primary.LastHeartbeat) {
			primary = p
		}
	}
	g.peer("primary", primary)
}

// peer is the other end of a session. How far it is behind is known while the session stands.
func (g *gauges) peer(name string, p replication.Peer, labels ...metrics.Label) {
	g.set(name+".connected", truth(p.Connected), labels...)
	if !p.LastHeartbeat.IsZero() {
		g.set(name+".last_heartbeat_age_seconds", max(g.now.Sub(p.LastHeartbeat).Seconds(), 0), labels...)
	}
	if p.Connected {
		g.set(name+".lag_seconds", p.CanaryAge.Seconds(), labels...)
	}
}

// set emits a gauge of this project, below replication.
func (g *gauges) set(name string, value float64, labels ...metrics.Label) {
	g.documented(value, append([]string{"replication"}, strings.Split(name, ".")...), labels...)
}

// documented emits a gauge that Vault's documentation names. Which mode it is of is a label in both.
func (g *gauges) documented(value float64, key []string, labels ...metrics.Label) {
	g.sink.SetGaugeWithLabels(key, float32(value), append(labels, metrics.Label{Name: "mode", Value: string(g.mode)}))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
