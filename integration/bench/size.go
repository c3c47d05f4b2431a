// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// sizes are what the figures are measured at, three each so that growth can be seen.
type sizes struct {
	keys, mounts, leases, values, secondaries []int
}

// scaled are the sizes of a whole run times a factor. A value has a size that storage allows, so it is not scaled.
func scaled(factor float64) sizes {
	by := func(all ...int) []int {
		for i := range all {
			all[i] = max(int(float64(all[i])*factor), i+1)
		}
		return all
	}
	return sizes{keys: by(10_000, 100_000, 1_000_000), mounts: by(100, 1_000, 10_000), leases: by(1_000, 10_000, 100_000),
		values: []int{64 << 10, 512 << 10, 1000 << 10}, secondaries: by(1, 10, 50)}
}

// sizeSteps are the steps of `make bench-size`, the most important first.
func (b *bench) sizeSteps() []step {
	b.result.Kind = figures.Sizes
	b.at = scaled(b.scale)
	return []step{b.setUpStock, b.setUpPerformance, b.sizeOfKeys, b.sizeOfValues, b.sizeOfLeases, b.sizeOfMounts,
		b.sizeOfSet}
}

// growth collects one line of a plot for each name.
type growth struct {
	id, what string
	x, y     figures.Axis
	names    []string
	lines    map[string][]figures.Point
}

func grows(id, what, of string, y figures.Axis) *growth {
	return &growth{id: id, what: what, x: figures.Axis{Name: of, Log: true}, y: y, lines: map[string][]figures.Point{}}
}

// at adds a figure at a size, also as a row.
func (g *growth) at(b *bench, size int, name string, number float64) {
	if _, ok := g.lines[name]; !ok {
		g.names = append(g.names, name)
	}
	g.lines[name] = append(g.lines[name], figures.Point{float64(size), number})
	b.add(figures.Row{ID: fmt.Sprintf("%s-%s-%d", g.id, strings.ReplaceAll(name, " ", "-"), size),
		What: fmt.Sprintf("%s, %s %s", name, figures.Value{Number: float64(size), Unit: g.x.Unit}, g.x.Name),
		Ours: []figures.Value{{Number: number, Unit: g.y.Unit}}})
}

// plot adds what was collected to the run, also if what followed has failed.
func (g *growth) plot(b *bench) {
	if len(g.names) == 0 {
		return
	}
	s := figures.Series{ID: g.id, What: g.what, X: g.x, Y: g.y}
	for _, name := range g.names {
		s.Lines = append(s.Lines, figures.Line{Name: name, Points: g.lines[name]})
	}
	b.result.Series = append(b.result.Series, s)
}

var (
	inSeconds = figures.Axis{Name: "time", Unit: figures.Seconds}
	inBytes   = figures.Axis{Name: "memory", Unit: figures.Bytes}
)

// sizeOfKeys fills one directory, so it is also the test of a flat one, and measures at each size.
func (b *bench) sizeOfKeys(ctx context.Context) error {
	times := grows("keys",
		"How long a first copy, a comparison after 100 missed writes, and a list of the directory take.",
		"keys in one directory", inSeconds)
	rates := grows("catch-up", "How many missed writes a second a secondary catches up with.", "keys in one directory",
		figures.Axis{Name: "writes a second", Unit: figures.PerSecond})
	memory := grows("memory", "The most memory of a server with its plugins during a first copy, without mapped files.",
		"keys in one directory", inBytes)
	defer times.plot(b)
	defer rates.plot(b)
	defer memory.plot(b)
	have := 0
	for _, n := range b.at.keys {
		progress("%d keys", n)
		if err := fillFrom(ctx, b.us, have, n); err != nil {
			return err
		}
		have = n
		if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
			return err
		}
		took, lines, err := b.copyWatched(ctx, fmt.Sprintf("copy-%d", n))
		if err != nil {
			return err
		}
		times.at(b, n, "first copy", took.Seconds())
		for _, l := range lines {
			memory.at(b, n, "memory of the "+l.Name, most(l))
		}
		if n == b.at.keys[len(b.at.keys)-1] {
			b.result.Series = append(b.result.Series, figures.Series{ID: "memory-over-time",
				What: fmt.Sprintf("Memory of both sides during a first copy of %d keys.", n),
				X:    figures.Axis{Name: "time since the call of enable", Unit: figures.Seconds}, Y: inBytes, Lines: lines})
		}
		c, err := b.missAndCatchUp(ctx, 4*b.round, b.missed)
		if err != nil {
			return err
		}
		rates.at(b, n, "catch-up", c.rate)
		if took, err = b.compares(ctx, fmt.Sprintf("again-%d", n)); err != nil {
			return err
		}
		times.at(b, n, "comparison", took.Seconds())
		started := time.Now()
		if _, err := b.eu.Node(0).APIClient().Logical().ListWithContext(ctx, "bench/"); err != nil {
			return err
		}
		times.at(b, n, "list on the secondary", time.Since(started).Seconds())
	}
	return nil
}

// copyWatched lets a new secondary join, watches the memory of both sides meanwhile, and removes it.
func (b *bench) copyWatched(ctx context.Context, name string) (time.Duration, []figures.Line, error) {
	c, err := b.start(ctx, name, "vault-replication")
	if err != nil {
		return 0, nil, err
	}
	watch := watchMemory(map[string]int{"primary": b.us.Node(0).PID(), "secondary": c.Node(0).PID()})
	started := time.Now()
	err = c.JoinPerformance(ctx, b.us, name)
	took := time.Since(started)
	lines := watch.stop()
	if err != nil {
		return 0, nil, err
	}
	return took, lines, b.leave(ctx, c, name)
}

// leave ends a secondary for good: its slot would keep rows of all that is measured after it.
func (b *bench) leave(ctx context.Context, c *cluster.Cluster, id string) error {
	if err := c.Stop(ctx, true); err != nil {
		return err
	}
	return b.revoke(ctx, id)
}

func (b *bench) revoke(ctx context.Context, id string) error {
	_, err := b.us.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathPerformance+"primary/revoke-secondary",
		map[string]any{"id": id})
	return err
}

// compares lets the secondary miss a hundred writes and come back under another id, for which nothing is retained. So
// it compares, and fetches what differs. The clock runs from the call until it has all.
func (b *bench) compares(ctx context.Context, id string) (time.Duration, error) {
	if _, err := b.cut(ctx); err != nil {
		return 0, err
	}
	there := b.us.Node(0).APIClient()
	for n := range 100 {
		if _, err := there.Logical().WriteWithContext(ctx, fmt.Sprintf("bench/missed-%02d", n),
			map[string]any{"v": id}); err != nil {
			return 0, err
		}
	}
	secret, err := there.Logical().WriteWithContext(ctx, cluster.PathPerformance+"primary/secondary-token",
		map[string]any{"id": id})
	if err != nil {
		return 0, err
	}
	b.link.Mend()
	started := time.Now()
	_, err = b.eu.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathPerformance+"secondary/update-primary",
		map[string]any{"token": secret.WrapInfo.Token, "ca_file": b.us.GetCACertPEMFile()})
	if err != nil {
		return 0, err
	}
	if err := waitValue(ctx, b.eu, "bench/missed-99", id); err != nil {
		return 0, err
	}
	took := time.Since(started)
	former := b.euID
	b.euID = id
	return took, b.revoke(ctx, former)
}

// waitValue waits until a secondary has a value.
func waitValue(ctx context.Context, c *cluster.Cluster, path, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	client := c.Node(0).APIClient()
	for {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err == nil && secret != nil && secret.Data["v"] == want {
			return nil
		}
		if err != nil && !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not there: %w", path, ctx.Err())
		case <-time.After(statusEvery):
		}
	}
}
