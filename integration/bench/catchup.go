// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// caughtUp is a catch-up: writes a second on the secondary, and on the primary before.
type caughtUp struct {
	rate, own float64
	written   int64
	wrote     time.Duration // how long the primary was written
	waited    time.Duration // until the first missed write arrived
	took      time.Duration // from then to the last
}

func (c caughtUp) notes() []string {
	return []string{fmt.Sprintf("%d writes missed in %s", c.written, c.wrote.Round(time.Second)),
		fmt.Sprintf("first of them %s after the link was whole", c.waited.Round(10*time.Millisecond))}
}

func (b *bench) catchUp(ctx context.Context) error {
	progress("catch-up after a disconnect")
	c, err := b.missAndCatchUp(ctx, 4*b.round, b.missed)
	if err != nil {
		return err
	}
	b.add(figures.Row{
		ID: idCatchUp, What: "catch-up after a disconnect, over the primary's own rate at 16 clients", Notes: c.notes(),
		Ours: rate(c.rate), Beside: []figures.Side{{Who: "the primary's own rate", Values: rate(c.own)}},
		Ratio: figures.Compare([]float64{c.rate}, []float64{c.own}), Raw: map[string][]float64{"s": {c.took.Seconds()}},
	})
	return nil
}

// cut cuts the link, and returns the sequence that the secondary had when it noticed.
func (b *bench) cut(ctx context.Context) (sequence uint64, err error) {
	if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
		return 0, err
	}
	b.link.Cut()
	err = b.eu.Node(0).WaitPerformance(ctx, "has noticed the cut", func(s *cluster.PerformanceStatus) error {
		if s.ConnectionState == "ready" {
			return fmt.Errorf("it is connected")
		}
		sequence = s.LastRemoteWAL
		return nil
	})
	return sequence, err
}

// missAndCatchUp cuts the link, writes from sixteen clients for a time or as much as was asked for,
// and mends the link. Several writes may share a sequence of the journal, so sequences are converted
// into writes. The clock begins when the first of the missed writes has arrived. How long the secondary
// waited before it tried again is beside it.
func (b *bench) missAndCatchUp(ctx context.Context, limit time.Duration, missed int) (c caughtUp, err error) {
	const clients = 16
	before, err := b.cut(ctx)
	if err != nil {
		return c, err
	}
	c.written, c.wrote, err = write(ctx, b.us, clients, limit)
	for err == nil && int(c.written) < missed {
		more, longer, failed := write(ctx, b.us, clients, limit)
		c.written, c.wrote, err = c.written+more, c.wrote+longer, failed
	}
	if err != nil {
		return c, err
	}
	c.own = float64(c.written) / c.wrote.Seconds()
	target, err := b.us.Node(0).PerformanceStatus(ctx)
	if err != nil {
		return c, err
	}
	b.link.Mend()
	mended := time.Now()
	first, err := b.reaches(ctx, b.eu, before+1)
	if err != nil {
		return c, err
	}
	began := time.Now()
	c.waited = began.Sub(mended)
	if _, err := b.reaches(ctx, b.eu, target.LastPerformanceWAL); err != nil {
		return c, err
	}
	c.took = time.Since(began)
	c.rate = c.rateOf(before, first, target.LastPerformanceWAL)
	return c, nil
}

// rateOf is the rate of what arrived after the first sequence that was seen. If that was the last one already,
// everything came at once, so the rate is over the whole time since the link was mended.
func (c caughtUp) rateOf(before, first, last uint64) float64 {
	if first >= last {
		return float64(c.written) / (c.waited + c.took).Seconds()
	}
	share := float64(last-first) / float64(last-before)
	return share * float64(c.written) / c.took.Seconds()
}

// reaches polls the status until a secondary has applied a sequence, and returns
// the one it shows.
func (b *bench) reaches(ctx context.Context, c *cluster.Cluster, sequence uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		s, err := c.Node(0).PerformanceStatus(ctx)
		if err != nil {
			return 0, err
		}
		if s.LastRemoteWAL >= sequence {
			return s.LastRemoteWAL, nil
		}
		time.Sleep(statusEvery)
	}
}
