// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// statusEvery is the pause between two looks at a status. Without a pause they would take a
// core away from what is measured.
const statusEvery = 5 * time.Millisecond

func cheapHash(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

// performanceLag is the time from a write's answer on the primary until the secondary's API
// returns the value. It includes the read that returns it.
func (b *bench) performanceLag(ctx context.Context) error {
	progress("lag of a performance secondary at %d writes a second", lagRate)
	lags, err := underLoad(ctx, b.us,
		func(ctx context.Context) ([]time.Duration, error) { return b.readable(ctx, untilDone(lagDuration)) })
	if err != nil {
		return err
	}
	b.add(lagRow(idLag, fmt.Sprintf("lag at %d writes/s, answer on the primary to readable on a performance secondary",
		lagRate), figures.InSeconds(lags)))
	return nil
}

// lagDuringCopy is performanceLag while another secondary is filled.
func (b *bench) lagDuringCopy(ctx context.Context) error {
	progress("lag while a first copy runs for another secondary")
	if err := fill(ctx, b.us, b.entries); err != nil {
		return err
	}
	if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
		return err
	}
	third, err := b.start(ctx, "third", "vault-replication")
	if err != nil {
		return err
	}
	var join errgroup.Group
	joined := make(chan struct{})
	join.Go(func() error {
		defer close(joined)
		return third.JoinPerformance(ctx, b.us, "third")
	})
	started := time.Now()
	lags, err := underLoad(ctx, b.us, func(ctx context.Context) ([]time.Duration, error) {
		return b.readable(ctx, func() bool {
			select {
			case <-joined:
				return true
			default:
				return false
			}
		})
	})
	took := time.Since(started)
	if joinErr := join.Wait(); joinErr != nil {
		return joinErr
	}
	if err != nil {
		return err
	}
	r := lagRow(idLagDuringCopy, fmt.Sprintf("the same while a first copy of %d entries runs for another secondary",
		b.entries), figures.InSeconds(lags))
	r.Notes = append(r.Notes, took.Round(100*time.Millisecond).String())
	b.add(r)
	return third.Stop(ctx, true)
}

func untilDone(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

func (b *bench) readable(ctx context.Context, done func() bool) ([]time.Duration, error) {
	there, here := b.us.Node(0).APIClient(), b.eu.Node(0).APIClient()
	ticker := time.NewTicker(lagProbe)
	defer ticker.Stop()
	var lags []time.Duration
	for n := 0; n == 0 || !done(); n++ {
		want := fmt.Sprint(n)
		if _, err := there.Logical().WriteWithContext(ctx, "bench/probe", map[string]any{"v": want}); err != nil {
			return nil, err
		}
		answered := time.Now()
		for {
			secret, err := here.Logical().ReadWithContext(ctx, "bench/probe")
			if err != nil {
				return nil, err
			}
			if secret != nil && secret.Data["v"] == want {
				break
			}
		}
		lags = append(lags, time.Since(answered))
		<-ticker.C
	}
	return lags, nil
}

// catchUp cuts the link, writes from sixteen clients for four turns or as much as was asked
// for, and mends the link. Several writes may share a sequence of the journal, so sequences
// are converted into writes. The row's clock begins when the first of the missed writes has
// arrived. How long the secondary waited before it tried again is beside it.
func (b *bench) catchUp(ctx context.Context) error {
	const clients = 16
	progress("catch-up after a disconnect")
	if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
		return err
	}
	b.link.Cut()
	var before uint64
	err := b.eu.Node(0).WaitPerformance(ctx, "has noticed the cut", func(s *cluster.PerformanceStatus) error {
		if s.ConnectionState == "ready" {
			return fmt.Errorf("it is connected")
		}
		before = s.LastRemoteWAL
		return nil
	})
	if err != nil {
		return err
	}
	written, took, err := write(ctx, b.us, clients, 4*b.round)
	for err == nil && int(written) < b.missed {
		more, longer, failed := write(ctx, b.us, clients, 4*b.round)
		written, took, err = written+more, took+longer, failed
	}
	if err != nil {
		return err
	}
	own := float64(written) / took.Seconds()
	target, err := b.us.Node(0).PerformanceStatus(ctx)
	if err != nil {
		return err
	}
	b.link.Mend()
	mended := time.Now()
	first, err := b.reaches(ctx, b.eu, before+1)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := b.reaches(ctx, b.eu, target.LastPerformanceWAL); err != nil {
		return err
	}
	share := float64(target.LastPerformanceWAL-first) / float64(target.LastPerformanceWAL-before)
	caughtUp := share * float64(written) / time.Since(began).Seconds()
	b.add(figures.Row{
		ID:   idCatchUp,
		What: "catch-up after a disconnect, over the primary's own rate at 16 clients",
		Notes: []string{fmt.Sprintf("%d writes missed in %s", written, took.Round(time.Second)),
			fmt.Sprintf("first of them %s after the link was whole", began.Sub(mended).Round(10*time.Millisecond))},
		Ours: rate(caughtUp), Beside: []figures.Side{{Who: "the primary's own rate", Values: rate(own)}},
		Ratio: figures.Compare([]float64{caughtUp}, []float64{own}),
	})
	return nil
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
