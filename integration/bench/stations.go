// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/host/storage/station"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// passage is what the log of a server says of one station: when everything up to a sequence had passed.
type passage struct {
	sequence uint64
	at       time.Time
}

// traced is a write that the bench has made itself.
type traced struct {
	sequence                 uint64
	sent, answered, readable time.Time
}

// passages are those of each station, in the order of the log.
type passages map[station.Station][]passage

var passed = regexp.MustCompile(regexp.QuoteMeta(station.Passed) +
	`: +station="?(\w+)"? sequence=(\d+) nanos=(\d+)`)

// read adds what a log says.
func (p passages) read(log []byte) error {
	for _, m := range passed.FindAllSubmatch(log, -1) {
		sequence, err := strconv.ParseUint(string(m[2]), 10, 64)
		if err != nil {
			return err
		}
		nanos, err := strconv.ParseInt(string(m[3]), 10, 64)
		if err != nil {
			return err
		}
		at := station.Station(m[1])
		p[at] = append(p[at], passage{sequence, time.Unix(0, nanos)})
	}
	return nil
}

// when is when a sequence had passed: by itself at the stations of the journal, with all before it at the others.
func (p passages) when(at station.Station, sequence uint64) (time.Time, bool) {
	alone := at == station.Numbered || at == station.Stored
	i := slices.IndexFunc(p[at], func(o passage) bool {
		return o.sequence == sequence || (!alone && o.sequence > sequence)
	})
	if i < 0 {
		return time.Time{}, false
	}
	return p[at][i].at, true
}

// gap is the time between two neighbours on the way.
type gap struct {
	name    string
	seconds []float64
}

// gaps are the times between the stations of all writes that have passed each of them.
func (p passages) gaps(writes []traced) []gap {
	all := []gap{
		{name: "request sent to journal number"}, {name: "journal number to stored by the primary's raft"},
		{name: "stored to given to the primary's plugin in a frame"},
		{name: "given to the primary's plugin to brought by the secondary's"},
		{name: "brought to applied by the secondary's raft"}, {name: "applied to readable"},
		{name: "the whole way, request sent to readable"}, {name: "of it after the primary's answer"},
	}
	for _, w := range writes {
		times := []time.Time{w.sent}
		for _, at := range []station.Station{station.Numbered, station.Stored, station.Framed, station.Received,
			station.Applied} {
			if t, ok := p.when(at, w.sequence); ok {
				times = append(times, t)
			}
		}
		times = append(times, w.readable)
		if len(times) != 7 {
			continue // its row was in a transaction that names another sequence
		}
		for i := range 6 {
			all[i].seconds = append(all[i].seconds, times[i+1].Sub(times[i]).Seconds())
		}
		all[6].seconds = append(all[6].seconds, w.readable.Sub(w.sent).Seconds())
		all[7].seconds = append(all[7].seconds, w.readable.Sub(w.answered).Seconds())
	}
	return all
}

// stations follows single writes at the rate of the lag through a pair that logs traces.
func (b *bench) stations(ctx context.Context) error {
	progress("the stations of a write")
	primary, secondary, err := b.tracedPair(ctx)
	if err != nil {
		return err
	}
	var writes []traced
	_, err = underLoad(ctx, primary, func(ctx context.Context) (_ []time.Duration, err error) {
		writes, err = follow(ctx, primary, secondary, b.lagFor)
		return nil, err
	})
	if err != nil {
		return err
	}
	p := passages{}
	for _, c := range []*cluster.Cluster{primary, secondary} {
		log, err := os.ReadFile(c.Node(0).LogFile())
		if err != nil {
			return err
		}
		if err := p.read(log); err != nil {
			return err
		}
	}
	for i, g := range p.gaps(writes) {
		r := lagRow(fmt.Sprintf("station-%d", i+1), "one write: "+g.name, g.seconds)
		if len(g.seconds) == 0 {
			r.Ours, r.Skipped = nil, "the logs have no stations of it"
		}
		r.Raw = map[string][]float64{"s": g.seconds}
		b.add(r)
	}
	for _, c := range []*cluster.Cluster{secondary, primary} {
		if err := c.Stop(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tracedPair(ctx context.Context) (primary, secondary *cluster.Cluster, err error) {
	binary, err := filepath.Abs(filepath.Join(b.bin, "vault-replication"))
	if err != nil {
		return nil, nil, err
	}
	for _, one := range []struct {
		name string
		to   **cluster.Cluster
	}{{"traced", &primary}, {"traced-eu", &secondary}} {
		c, err := cluster.Start(ctx, cluster.Options{Name: one.name, Binary: binary, CA: b.ca, LogLevel: "trace"})
		if err != nil {
			return nil, nil, err
		}
		b.running = append(b.running, c)
		*one.to = c
	}
	if err := mount(ctx, primary); err != nil {
		return nil, nil, err
	}
	if err := primary.EnablePerformancePrimary(ctx); err != nil {
		return nil, nil, err
	}
	return primary, secondary, secondary.JoinPerformance(ctx, primary, "traced-eu")
}

// follow makes writes one after the other and reads each on the secondary until it is there. The primary's answer
// says their sequence, or that of a write a moment later.
func follow(ctx context.Context, primary, secondary *cluster.Cluster, limit time.Duration) ([]traced, error) {
	there, here := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	ticker := time.NewTicker(lagProbe)
	defer ticker.Stop()
	var all []traced
	for end := time.Now().Add(limit); time.Now().Before(end); <-ticker.C {
		var state string
		w := traced{sent: time.Now()}
		_, err := there.WithResponseCallbacks(api.RecordState(&state)).Logical().WriteWithContext(ctx, "bench/traced",
			map[string]any{"v": fmt.Sprint(len(all))})
		if err != nil {
			return nil, err
		}
		w.answered = time.Now()
		if w.sequence, err = sequenceOf(state); err != nil {
			return nil, err
		}
		for {
			secret, err := here.Logical().ReadWithContext(ctx, "bench/traced")
			if err != nil {
				return nil, err
			}
			if secret != nil && secret.Data["v"] == fmt.Sprint(len(all)) {
				break
			}
		}
		w.readable = time.Now()
		all = append(all, w)
	}
	return all, nil
}

// sequenceOf is the primary's sequence in the header X-Vault-Index.
func sequenceOf(index string) (uint64, error) {
	s, err := api.ParseReplicationState(index, nil)
	if err != nil {
		return 0, fmt.Errorf("the index %q of an answer: %w", index, err)
	}
	return max(s.LocalIndex, s.ReplicatedIndex), nil
}
