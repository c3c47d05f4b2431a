// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
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
		func(ctx context.Context) ([]time.Duration, error) { return b.readable(ctx, untilDone(b.lagFor)) })
	if err != nil {
		return err
	}
	r := lagRow(idLag, fmt.Sprintf("lag at %d writes/s, answer on the primary to readable on a performance secondary",
		lagRate), figures.InSeconds(lags))
	b.besidePostgreSQL(&r)
	b.add(r)
	return nil
}

// lagDuringCopy is performanceLag while another secondary is filled.
func (b *bench) lagDuringCopy(ctx context.Context) error {
	progress("lag while a first copy runs for another secondary")
	if err := b.fillPair(ctx); err != nil {
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
	return b.leave(ctx, third, "third")
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
