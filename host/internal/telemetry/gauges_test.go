// SPDX-License-Identifier: MPL-2.0

package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/armon/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/telemetry"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// record keeps gauges by name and labels.
type record map[string]float32

func (r record) SetGaugeWithLabels(key []string, val float32, labels []metrics.Label) {
	name := strings.Join(key, ".")
	for _, l := range labels {
		name += " " + l.Name + "=" + l.Value
	}
	r[name] = val
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestGaugesOfAPrimary(t *testing.T) {
	t.Parallel()
	got := record{}
	telemetry.Emitter(got, replication.DR)(&endpoints.ModeStatus{
		Role: replication.Primary, LastWAL: 9, LastModeWAL: 7, LastCorruptionCheck: now.Add(-time.Minute),
		Slots: []endpoints.Slot{{ID: "b", State: "warning", RetainedBytes: 12, RetainedAge: 3 * time.Second, MaxBytes: 16,
			MaxAge: 5 * time.Second, Acknowledged: 4}},
		Sessions: replication.Status{State: replication.Running, KnownSecondaries: []string{"b", "c"},
			Secondaries: []replication.Peer{{
				NodeID: "b", Connected: true, LastHeartbeat: now.Add(-2 * time.Second), CanaryAge: 1500 * time.Millisecond,
				Displaced: 3,
			}}},
	}, telemetry.Counts{PluginRestarts: 1, GatheredWrites: 8, GatheredRows: 2,
		Ring: journal.Ring{Rows: 3, Bytes: 30, MaxBytes: 90}}, now)
	require.Equal(t, record{
		"replication.plugin.restarts mode=dr": 1, "replication.gathered.writes mode=dr": 8,
		"replication.gathered.rows mode=dr": 2, "logshipper.buffer.length mode=dr": 3, "logshipper.buffer.size mode=dr": 30,
		"logshipper.buffer.max_length mode=dr": 0, "logshipper.buffer.max_size mode=dr": 90,
		"replication.state state=running mode=dr": 1, "replication.state state=stream-wals mode=dr": 0,
		"replication.state state=merkle-diff mode=dr": 0, "replication.state state=merkle-sync mode=dr": 0,
		"replication.state state=idle mode=dr":     0,
		"replication.index.build_progress mode=dr": 0, "replication.index.build_total mode=dr": 0,
		"replication.secondary.lag_entries secondary=b mode=dr": 3,
		"replication.secondary.displaced secondary=b mode=dr":   3,
		"replication.secondary.displaced secondary=c mode=dr":   0,
		"replication.slot.use_ratio secondary=b mode=dr":        0.75,
		"replication.wal.last_wal mode=dr":                      9, "replication.wal.last_dr_wal mode=dr": 7,
		"replication.working mode=dr": 1, "replication.secondaries mode=dr": 2, "replication.contested mode=dr": 0,
		"replication.unclassified_keys mode=dr": 0, "replication.index.corrupted mode=dr": 0,
		"replication.index.check_age_seconds mode=dr":                          60,
		"replication.secondary.connected secondary=b mode=dr":                  1,
		"replication.secondary.lag_seconds secondary=b mode=dr":                1.5,
		"replication.secondary.last_heartbeat_age_seconds secondary=b mode=dr": 2,
		"replication.secondary.connected secondary=c mode=dr":                  0,
		"replication.slot.retained_bytes secondary=b mode=dr":                  12,
		"replication.slot.state secondary=b mode=dr":                           1,
		"replication.slot.retained_age_seconds secondary=b mode=dr":            3,
	}, got)
}

func TestGaugesOfASecondary(t *testing.T) {
	t.Parallel()
	got := record{}
	telemetry.Emitter(got, replication.Performance)(&endpoints.ModeStatus{
		Role: replication.Secondary, LastRemoteWAL: 5, Consistent: true, Missing: 2, Lacks: []string{"x"}, Contested: true,
		CorruptedMerkleTree: true, UnclassifiedKeys: 3, Reindexing: true, Indexed: 10, IndexTotal: 20,
		Sessions: replication.Status{State: replication.Idle, Primaries: []replication.Peer{
			{LastHeartbeat: now.Add(-time.Minute)}, {LastHeartbeat: now.Add(-time.Second)},
		}},
	}, telemetry.Counts{}, now)
	require.Equal(t, record{
		"replication.plugin.restarts mode=performance":     0,
		"replication.state state=running mode=performance": 0, "replication.state state=stream-wals mode=performance": 0,
		"replication.state state=merkle-diff mode=performance": 0,
		"replication.state state=merkle-sync mode=performance": 0, "replication.state state=idle mode=performance": 1,
		"replication.fsm.last_remote_wal mode=performance": 5, "replication.working mode=performance": 0,
		"replication.consistent mode=performance": 1, "replication.missing_keys mode=performance": 2,
		"replication.lacks mode=performance":     1,
		"replication.contested mode=performance": 1, "replication.index.corrupted mode=performance": 1,
		"replication.unclassified_keys mode=performance": 3, "replication.primary.connected mode=performance": 0,
		"replication.primary.last_heartbeat_age_seconds mode=performance": 1,
		"replication.index.build_progress mode=performance":               10,
		"replication.index.build_total mode=performance":                  20,
	}, got)
}

// How long a slot lasts is what its growth since the last acknowledgement says, and nothing is said without one.
func TestHowLongASlotLasts(t *testing.T) {
	t.Parallel()
	const left = "replication.slot.seconds_to_lost secondary=b mode=dr"
	connected := false
	slot := endpoints.Slot{ID: "b", State: "active", RetainedBytes: 100, MaxBytes: 1000, Acknowledged: 5}
	got := record{}
	emit := telemetry.Emitter(got, replication.DR)
	after := func(seconds int) record {
		clear(got)
		emit(&endpoints.ModeStatus{Role: replication.Primary, Slots: []endpoints.Slot{slot}, Sessions: replication.Status{
			Secondaries:      []replication.Peer{{NodeID: "b", Connected: connected}},
			KnownSecondaries: []string{"b"},
		}}, telemetry.Counts{}, now.Add(time.Duration(seconds)*time.Second))
		return got
	}
	require.NotContains(t, after(0), left, "one look is no rate")
	require.NotContains(t, after(10), left, "it does not grow")
	slot.RetainedBytes = 300
	require.EqualValues(t, 70, after(20)[left], "200 bytes in 20 s, and 700 of room")
	slot.Acknowledged, slot.RetainedBytes = 6, 400
	require.NotContains(t, after(30), left, "a new acknowledgement")
	slot.MaxAge, slot.RetainedAge = time.Minute, 50*time.Second
	require.EqualValues(t, 10, after(40)[left], "it is as old as it may be in ten seconds")
	connected = true
	require.NotContains(t, after(50), left, "one that is connected is not given up for its age")
	slot.RetainedBytes, slot.MaxBytes = 401, 1<<62
	require.Greater(t, after(60)[left], float32(1e18), "no overflow")
	slot.State, slot.MaxBytes = "lost", 1000
	require.NotContains(t, after(70), left)
}

// node answers from a map.
type node struct {
	active bool
	status map[replication.Mode]*endpoints.ModeStatus
}

func (n *node) Active() bool { return n.active }

func (n *node) Counts(replication.Mode) telemetry.Counts { return telemetry.Counts{} }

func (n *node) Status(_ context.Context, mode replication.Mode) (*endpoints.ModeStatus, error) {
	if s := n.status[mode]; s != nil {
		return s, nil
	}
	return nil, errors.New("not now")
}

// A standby emits nothing, and a mode whose status fails leaves the other one alone.
func TestRunIsForTheActiveNode(t *testing.T) {
	t.Parallel()
	n := &node{status: map[replication.Mode]*endpoints.ModeStatus{replication.Performance: {Role: replication.Primary}}}
	round := func() record {
		ctx, end := context.WithCancel(t.Context())
		got, tick, ended := record{}, make(chan time.Time), make(chan struct{})
		go func() {
			defer close(ended)
			telemetry.Run(ctx, n, got, tick)
		}()
		tick <- now
		end()
		<-ended
		return got
	}
	require.Empty(t, round())
	n.active = true
	require.Contains(t, round(), "replication.working mode=performance")
	n.status[replication.Performance].Role = replication.Disabled
	require.Empty(t, round())
}
