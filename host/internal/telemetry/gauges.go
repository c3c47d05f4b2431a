// SPDX-License-Identifier: MPL-2.0

package telemetry

import (
	"strings"
	"time"

	"github.com/armon/go-metrics"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Sink takes gauges: Vault's telemetry, which adds the name of the cluster.
type Sink interface {
	SetGaugeWithLabels(key []string, val float32, labels []metrics.Label)
}

// Counts are what the node knows of a mode beside its status.
type Counts struct {
	// PluginRestarts counts the restarts of the mode's plugin after a failure.
	PluginRestarts uint64
	// GatheredWrites are writes that shared a journal row with others, GatheredRows these rows.
	GatheredWrites, GatheredRows uint64
	// Ring is the ring that a primary streams from.
	Ring journal.Ring
}

// gauges emits the gauges of one mode.
type gauges struct {
	sink Sink
	mode replication.Mode
	now  time.Time
	// growing says how the slots have grown since the last acknowledgements of their secondaries.
	growing map[string]growth
}

// growth is how much a slot retained when its present acknowledgement was first seen.
type growth struct {
	acknowledged, bytes uint64
	at                  time.Time
}

// emit emits what a status says at a moment. A mode that is not in use has none.
func (g *gauges) emit(s *endpoints.ModeStatus, c Counts, now time.Time) {
	g.now = now
	switch s.Role {
	case replication.Primary:
		g.primary(s)
		g.writes(c)
	case replication.Secondary, replication.Bootstrapping:
		g.secondary(s)
	default:
		return
	}
	g.state(s.Sessions.State)
	g.set("plugin.restarts", float64(c.PluginRestarts))
	g.set("contested", truth(s.Contested))
	g.set("unclassified_keys", float64(s.UnclassifiedKeys))
	g.set("index.corrupted", truth(s.CorruptedMerkleTree))
	if !s.LastCorruptionCheck.IsZero() {
		g.set("index.check_age_seconds", now.Sub(s.LastCorruptionCheck).Seconds())
	}
	// Vault emits core.replication.build_progress itself, always as 0.
	g.set("index.build_progress", float64(s.Indexed))
	g.set("index.build_total", float64(s.IndexTotal))
}

// states are the states that a status can have; the gauge of the present state is 1.
var states = []replication.State{replication.Running, replication.StreamWALs, replication.MerkleDiff,
	replication.MerkleSync, replication.Idle}

func (g *gauges) state(is replication.State) {
	for _, state := range states {
		g.set("state", truth(state == is), metrics.Label{Name: "state", Value: string(state)})
	}
}

// writes are how a primary writes, and what it has in memory to stream from.
func (g *gauges) writes(c Counts) {
	g.set("gathered.writes", float64(c.GatheredWrites))
	g.set("gathered.rows", float64(c.GatheredRows))
	for name, value := range map[string]int{"length": c.Ring.Rows, "size": c.Ring.Bytes, "max_length": c.Ring.MaxRows,
		"max_size": c.Ring.MaxBytes} {
		g.documented(float64(value), []string{"logshipper", "buffer", name})
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
	// All registered secondaries, not only those that have connected: one that never came is missing too.
	for _, id := range s.Sessions.KnownSecondaries {
		p := connected[id]
		of := metrics.Label{Name: "secondary", Value: id}
		g.peer("secondary", p, of)
		g.set("secondary.displaced", float64(p.Displaced), of)
	}
	before := g.growing
	g.growing = map[string]growth{}
	for i := range s.Slots {
		slot := &s.Slots[i]
		g.growing[slot.ID] = g.growth(slot, before[slot.ID])
		g.slot(slot, s.LastModeWAL, connected[slot.ID].Connected)
	}
}

// slotStates are numbers that grow with the trouble, so that an alert can compare them.
var slotStates = map[string]float64{"active": 0, "warning": 1, "lost": 2}

func (g *gauges) slot(s *endpoints.Slot, last uint64, connected bool) {
	of := metrics.Label{Name: "secondary", Value: s.ID}
	g.set("slot.retained_bytes", float64(s.RetainedBytes), of)
	g.set("slot.retained_age_seconds", s.RetainedAge.Seconds(), of)
	g.set("slot.state", slotStates[s.State], of)
	g.set("slot.use_ratio", s.Use(), of)
	g.set("secondary.lag_entries", float64(last-min(last, s.Acknowledged)), of)
	if seconds, known := g.untilLost(s, connected); known {
		g.set("slot.seconds_to_lost", seconds, of)
	}
}

// growth begins anew when the secondary has acknowledged something.
func (g *gauges) growth(s *endpoints.Slot, before growth) growth {
	if before.at.IsZero() || s.Acknowledged != before.acknowledged || s.RetainedBytes < before.bytes {
		return growth{acknowledged: s.Acknowledged, bytes: s.RetainedBytes, at: g.now}
	}
	return before
}

// untilLost is how long a slot lasts if its secondary acknowledges nothing and the primary writes at the same rate as
// since the last acknowledgement. It is unknown for a slot that does not grow or was just acknowledged, because there
// is no rate. The cap in age does not count for a connected secondary.
func (g *gauges) untilLost(s *endpoints.Slot, connected bool) (seconds float64, known bool) {
	since := g.growing[s.ID]
	over := g.now.Sub(since.at).Seconds()
	if grown := s.RetainedBytes - since.bytes; s.MaxBytes > 0 && grown > 0 && over > 0 {
		seconds, known = float64(s.MaxBytes-min(s.MaxBytes, s.RetainedBytes))/float64(grown)*over, true
	}
	if s.MaxAge > 0 && s.RetainedAge > 0 && !connected {
		if byAge := max(0, s.MaxAge-s.RetainedAge).Seconds(); !known || byAge < seconds {
			seconds, known = byAge, true
		}
	}
	return seconds, known && s.State != "lost"
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

// peer emits the gauges of the other end of a session. The lag is known only during a session.
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

// documented emits a gauge that Vault's documentation has. The mode is a label in both cases.
func (g *gauges) documented(value float64, key []string, labels ...metrics.Label) {
	g.sink.SetGaugeWithLabels(key, float32(value), append(labels, metrics.Label{Name: "mode", Value: string(g.mode)}))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
