// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// settings are the flags.
type settings struct {
	bin     string
	only    string
	rounds  int
	round   time.Duration
	entries int
	missed  int
	leases  int
	lagFor  time.Duration
	sizes   bool
	scale   float64
	json    string
}

func main() {
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "folder of the built binaries")
	flag.StringVar(&s.only, "only", "",
		"measure a part alone: dr, performance, writes (throughput), far (long ways) or stations")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each side takes its turn")
	flag.DurationVar(&s.round, "round", 5*time.Second, "how long a turn lasts")
	flag.IntVar(&s.entries, "entries", 100_000, "how many entries the first copy has")
	flag.IntVar(&s.missed, "missed", 0, "how many writes the catch-up has at least; 0 for those of four turns")
	flag.IntVar(&s.leases, "leases", 100_000, "how many leases there are at the promotion of three nodes")
	flag.DurationVar(&s.lagFor, "lag", 30*time.Second, "how long lag is probed")
	flag.BoolVar(&s.sizes, "sizes", false, "measure how figures grow with size (make bench-size)")
	flag.Float64Var(&s.scale, "scale", 1, "with -sizes: multiplies the sizes, below 1 for a trial")
	flag.StringVar(&s.json, "json", "", "folder to write the raw numbers to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if !slices.Contains([]string{"", "dr", "performance", "writes", "far", "stations"}, s.only) {
		return fmt.Errorf("-only %s is none of dr, performance, writes, far and stations", s.only)
	}
	dir, err := os.MkdirTemp("", "vault-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a leftover folder is no reason to fail
	ca, err := cluster.NewCA(dir)
	if err != nil {
		return err
	}
	b := &bench{settings: s, ca: ca}
	b.result = figures.Run{Kind: figures.Goals, Date: time.Now().UTC().Truncate(time.Second), Command: command(),
		Machine: thisMachine()}
	b.result.Commit, b.result.Modified = revision(ctx)
	defer b.close()

	for _, step := range b.steps() {
		err := s.within(ctx, step)
		if err == nil {
			continue
		}
		b.showLogs()
		if !s.sizes || b.eu == nil || ctx.Err() != nil {
			// The rows that there are can be read. They are no run that tables are made from.
			b.json = ""
			return errors.Join(err, b.report())
		}
		// What is too large for one step is no reason to lose an hour of others.
		b.add(figures.Row{ID: fmt.Sprintf("failed-%d", len(b.result.Rows)), What: "a step that has failed",
			Skipped: strings.Join(strings.Fields(err.Error()), " ")})
	}
	return b.report()
}

// step is one thing that is set up or measured.
type step = func(context.Context) error

// within bounds a step. It has to have a bound of its own: what waits for servers would otherwise wait two minutes
// at most, and a first copy of a million keys takes longer on a slow machine.
func (s settings) within(ctx context.Context, do step) error {
	limit := 20 * time.Minute
	if s.sizes {
		limit = 90 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// steps are what the flags ask for, in order.
func (b *bench) steps() []step {
	if b.sizes {
		return b.sizeSteps()
	}
	switch b.only {
	case "stations":
		return []step{b.stations}
	case "far":
		return []step{b.setUpStock, b.setUpPerformance, b.far}
	case "writes":
		return []step{b.setUpStock, b.setUpDR, b.throughput}
	case "dr":
		return append([]step{b.anchors, b.setUpStock}, b.drSteps()...)
	case "performance":
		return append([]step{b.anchors, b.setUpStock}, b.performanceSteps()...)
	default:
		return slices.Concat([]step{b.anchors, b.setUpStock}, b.drSteps(), b.performanceSteps())
	}
}

func (b *bench) drSteps() []step {
	return []step{b.setUpDR, b.throughput, b.processorTime, b.lag, b.snapshot, b.firstCopy, b.promotion, b.stopDR,
		b.promotionOfThree}
}

func (b *bench) performanceSteps() []step {
	return []step{b.setUpPerformance, b.reads, b.forwardedWrites, b.newLogins, b.performanceLag, b.catchUp,
		b.lagDuringCopy, b.far, b.stations}
}

// command is how the run is repeated.
func command() string {
	var given []string
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "bin" && f.Name != "json" { // where files are is no part of what was measured
			given = append(given, "-"+f.Name+"="+f.Value.String())
		}
	})
	switch {
	case len(given) == 0:
		return "make bench"
	case len(given) == 1 && given[0] == "-sizes=true":
		return "make bench-size"
	}
	return "scripts/bench.sh " + strings.Join(given, " ")
}

// bench holds the clusters and the rows of the table.
type bench struct {
	settings
	ca                        *cluster.CA
	plain, primary, secondary *cluster.Cluster
	fresh                     *cluster.Cluster
	running                   []*cluster.Cluster
	// us and eu are a performance primary and its secondary, with link between.
	us, eu *cluster.Cluster
	euID   string
	link   *cable.Cable
	result figures.Run
	// What was measured of others, to stand beside rows of this build.
	raft, postgres, snapshots []figures.Value
	// at are the sizes that growth is measured at.
	at sizes
	// filled is how many entries the performance primary has.
	filled int
}

func (b *bench) start(ctx context.Context, name, binary string) (*cluster.Cluster, error) {
	return b.startAt(ctx, name, binary, "")
}

// startAt starts a cluster that names clusterAddr to others.
func (b *bench) startAt(ctx context.Context, name, binary, clusterAddr string) (*cluster.Cluster, error) {
	path, err := filepath.Abs(filepath.Join(b.bin, binary))
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Name: name, Binary: path, CA: b.ca, LogLevel: "warn",
		ClusterAddr: clusterAddr})
	if err != nil {
		return nil, err
	}
	b.running = append(b.running, c)
	return c, nil
}

func (b *bench) setUpStock(ctx context.Context) (err error) {
	progress("starting the servers")
	if b.plain, err = b.start(ctx, "plain", "vault-plain"); err != nil {
		return err
	}
	return mount(ctx, b.plain)
}

// setUpDR starts a primary whose secondary has joined and is down again: so a
// slot is open, and the journal keeps rows for it.
func (b *bench) setUpDR(ctx context.Context) (err error) {
	if b.primary, err = b.start(ctx, "primary", "vault-replication"); err != nil {
		return err
	}
	if b.secondary, err = b.start(ctx, "secondary", "vault-replication"); err != nil {
		return err
	}
	if err := mount(ctx, b.primary); err != nil {
		return err
	}
	if err := b.primary.EnableDRPrimary(ctx); err != nil {
		return err
	}
	if err := b.secondary.JoinDR(ctx, b.primary); err != nil {
		return err
	}
	return b.secondary.Stop(ctx, true)
}

// stopDR frees the machine for the next measurement. The primary was killed
// for the promotion, and the secondary has been down since the first copy was measured.
func (b *bench) stopDR(ctx context.Context) error {
	return b.fresh.Stop(ctx, true)
}

// showLogs prints the ends of the servers' logs, which are removed with the rest.
func (b *bench) showLogs() {
	for _, c := range b.running {
		fmt.Fprint(os.Stderr, c.Logs())
	}
}

func (b *bench) close() {
	if b.link != nil {
		b.link.Close()
	}
	for _, c := range b.running {
		c.Cleanup()
	}
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "==> "+format+"\n", args...)
}
