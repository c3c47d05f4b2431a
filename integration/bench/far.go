// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cable"
)

// way is a link between two clusters, with the name it has in rows.
type way struct {
	id, what string
	link     cable.Link
	// clients forward writes at once, enough of them that they do not only wait for the way.
	clients int
}

var ways = []way{
	{"rtt20", "20 ms round trip", cable.Link{Delay: 10 * time.Millisecond}, 256},
	{"rtt200", "200 ms round trip", cable.Link{Delay: 100 * time.Millisecond}, 2048},
	{"loss", "20 ms round trip and 0.1 % loss", cable.Link{Delay: 10 * time.Millisecond, Loss: 0.001}, 256},
	{"narrow", "20 ms round trip and 100 Mbit/s", cable.Link{Delay: 10 * time.Millisecond, BytesPerSecond: 100e6 / 8},
		256},
}

// far measures what crosses the link of the performance pair, over each of the ways.
func (b *bench) far(ctx context.Context) error {
	defer b.link.Stretch(cable.Link{})
	if err := b.fillPair(ctx); err != nil {
		return err
	}
	for _, w := range ways {
		progress("over a way of %s", w.what)
		b.link.Stretch(w.link)
		// The present connections were opened over another link and have its windows.
		if err := b.reconnect(ctx); err != nil {
			return err
		}
		for _, step := range []func(context.Context, way) error{b.farLag, b.farForwarded, b.farCatchUp, b.farCopy} {
			if err := step(ctx, w); err != nil {
				return fmt.Errorf("over a way of %s: %w", w.what, err)
			}
		}
	}
	return nil
}

func (b *bench) reconnect(ctx context.Context) error {
	if _, err := b.cut(ctx); err != nil {
		return err
	}
	b.link.Mend()
	return b.eu.WaitCaughtUp(ctx, b.us)
}

func (b *bench) farLag(ctx context.Context, w way) error {
	lags, err := underLoad(ctx, b.us,
		func(ctx context.Context) ([]time.Duration, error) { return b.readable(ctx, untilDone(b.lagFor/3)) })
	if err != nil {
		return err
	}
	b.add(lagRow("performance-lag-"+w.id, fmt.Sprintf("lag at %d writes/s, %s", lagRate, w.what), figures.InSeconds(lags)))
	return b.eu.WaitCaughtUp(ctx, b.us)
}

func (b *bench) farForwarded(ctx context.Context, w way) error {
	next := make(chan int)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for n := 0; ; n++ {
			select {
			case next <- n % keySpace:
			case <-ctx.Done():
				return
			}
		}
	}()
	var refused, lost atomic.Int64
	do := each(w.clients, func(ctx context.Context, client *api.Client) error {
		path := fmt.Sprintf("bench/forwarded-%d", <-next)
		for {
			_, err := client.Logical().WriteWithContext(ctx, path, value)
			answer, ok := errorAs[*api.ResponseError](err)
			switch {
			case ok && answer.StatusCode == http.StatusServiceUnavailable:
				// As many are under way as a secondary may have. The client tries again after the time that
				// Vault's own client waits; sooner, the refusals would take the processor from what is measured.
				refused.Add(1)
			case ok && answer.StatusCode == http.StatusConflict:
				lost.Add(1)
			default:
				return err
			}
			time.Sleep(time.Second)
		}
	})
	var turns []float64
	for range b.rounds {
		s, err := turn(ctx, b.eu, do, b.round)
		if err != nil {
			return err
		}
		turns = append(turns, s.perSecond)
	}
	id := "forwarded-writes-" + w.id
	if w.id == "rtt200" {
		id = idForwardedFar
	}
	b.add(figures.Row{ID: id, What: fmt.Sprintf("forwarded writes, %d clients, %s", w.clients, w.what),
		Notes: []string{fmt.Sprintf("%d attempts were refused and made again, %d answers were lost", refused.Load(),
			lost.Load())},
		Ours: rate(figures.Median(turns)), Raw: map[string][]float64{"this build, /s": turns}})
	return b.eu.WaitCaughtUp(ctx, b.us)
}

func (b *bench) farCatchUp(ctx context.Context, w way) error {
	c, err := b.missAndCatchUp(ctx, b.round, b.missed/10)
	if err != nil {
		return err
	}
	b.add(figures.Row{ID: "catch-up-" + w.id, What: "catch-up after a disconnect, " + w.what, Notes: c.notes(),
		Ours: rate(c.rate), Raw: map[string][]float64{"s": {c.took.Seconds()}}})
	return nil
}

// farCopy lets one more secondary join over the way. It copies what the pair has by now.
func (b *bench) farCopy(ctx context.Context, w way) error {
	c, err := b.start(ctx, "far-"+w.id, "vault-replication")
	if err != nil {
		return err
	}
	started := time.Now()
	if err := c.JoinPerformance(ctx, b.us, "far-"+w.id); err != nil {
		return err
	}
	took := time.Since(started)
	b.add(figures.Row{ID: "first-copy-" + w.id,
		What: fmt.Sprintf("first copy of %d entries of 512 bytes, enable to streaming, "+
			"%s", b.entries, w.what), Notes: []string{took.Round(10 * time.Millisecond).String()},
		Ours: rate(float64(b.entries) / took.Seconds()), Raw: map[string][]float64{"s": {took.Seconds()}}})
	return b.leave(ctx, c, "far-"+w.id)
}
