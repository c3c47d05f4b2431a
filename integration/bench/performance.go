// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// setUpPerformance starts a performance pair beside the stock server. The link
// between the two can be cut.
func (b *bench) setUpPerformance(ctx context.Context) (err error) {
	progress("starting a performance primary and its secondary")
	// The primary advertises the cable as its address. Otherwise its secondary would learn
	// the way around it.
	if b.link, err = cable.Lay(""); err != nil {
		return err
	}
	if b.us, err = b.startAt(ctx, "us", "vault-replication", "https://"+b.link.Addr()); err != nil {
		return err
	}
	b.link.Aim(strings.TrimPrefix(b.us.Node(0).ClusterAddress(), "https://"))
	if b.eu, err = b.start(ctx, "eu", "vault-replication"); err != nil {
		return err
	}
	if err := mount(ctx, b.us); err != nil {
		return err
	}
	for _, c := range []*cluster.Cluster{b.plain, b.us} {
		if err := prepareEngines(ctx, c); err != nil {
			return err
		}
	}
	if err := b.us.EnablePerformancePrimary(ctx); err != nil {
		return err
	}
	b.euID = "eu"
	if err := b.eu.JoinPerformance(ctx, b.us, b.euID); err != nil {
		return err
	}
	return b.eu.WaitCaughtUp(ctx, b.us)
}

// fillPair gives the pair the entries of a first copy, once.
func (b *bench) fillPair(ctx context.Context) error {
	if err := fillFrom(ctx, b.us, b.filled, b.entries); err != nil {
		return err
	}
	b.filled = max(b.filled, b.entries)
	return b.eu.WaitCaughtUp(ctx, b.us)
}

func prepareEngines(ctx context.Context, c *cluster.Cluster) error {
	root := c.Node(0).APIClient()
	if err := root.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil {
		return err
	}
	if _, err := root.Logical().WriteWithContext(ctx, "transit/keys/bench", nil); err != nil {
		return err
	}
	if err := root.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass",
		&api.EnableAuthOptions{Type: "userpass"}); err != nil {
		return err
	}
	_, err := root.Logical().WriteWithContext(ctx, readPath, value)
	return err
}

const readPath = "bench/read"

// each repeats one request from a number of clients for a time.
func each(clients int, request func(ctx context.Context, client *api.Client) error) work {
	return func(ctx context.Context, c *cluster.Cluster, limit time.Duration) (int64, time.Duration, error) {
		var done atomic.Int64
		started := time.Now()
		group, ctx := errgroup.WithContext(ctx)
		for range clients {
			client := c.Node(0).APIClient()
			group.Go(func() error {
				for time.Since(started) < limit {
					if err := request(ctx, client); err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			})
		}
		err := group.Wait()
		return done.Load(), time.Since(started), err
	}
}

// reads is the row of requests that a performance secondary answers by itself.
func (b *bench) reads(ctx context.Context) error {
	const clients = 16
	plaintext := map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 512)))}
	for _, w := range []struct {
		id, what string
		do       work
	}{
		{idReads, "read throughput on a performance secondary", each(clients,
			func(ctx context.Context, client *api.Client) error {
				secret, err := client.Logical().ReadWithContext(ctx, readPath)
				if err == nil && secret == nil {
					err = fmt.Errorf("%s is not there", readPath)
				}
				return err
			})},
		{idTransit, "transit encryption on a performance secondary", each(clients,
			func(ctx context.Context, client *api.Client) error {
				_, err := client.Logical().WriteWithContext(ctx, "transit/encrypt/bench", plaintext)
				return err
			})},
	} {
		progress("%s", w.what)
		plain, ours, err := b.turns(ctx, b.plain, b.eu, w.do)
		if err != nil {
			return err
		}
		b.add(compare(w.id, fmt.Sprintf("%s, %d clients", w.what, clients), stock, ours, plain, perSecond, figures.PerSecond))
	}
	return nil
}

// duration is what one request took, from one client.
func duration(s sample) float64 { return 1 / s.perSecond }

// compared adds the row of something that a secondary needs its primary for, as a ratio to
// the same done on that primary. It uses one client: the time of one request counts.
func (b *bench) compared(ctx context.Context, id, what string, do work) error {
	progress("%s", what)
	there, here, err := b.turns(ctx, b.us, b.eu, do)
	if err != nil {
		return err
	}
	b.add(compare(id, what, "the primary itself", here, there, duration, figures.Seconds))
	return nil
}

func (b *bench) forwardedWrites(ctx context.Context) error {
	n := 0
	return b.compared(ctx, idForwarded, "forwarded write, 1 client", each(1,
		func(ctx context.Context, client *api.Client) error {
			n++
			_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("bench/forwarded-%d", n%keySpace), value)
			return err
		}))
}

// newLogins makes a user for each login beforehand. No cluster has an entity for it yet.
// Logins of the two sides never share one. A password's hash has the lowest cost, so that
// it does not hide the rest.
func (b *bench) newLogins(ctx context.Context) error {
	progress("making users")
	root := b.us.Node(0).APIClient()
	const rate = 120 // logins a second of one client are fewer on this kind of machine
	users := int(float64(rate) * b.round.Seconds() * float64(2*b.rounds+2))
	hash, err := cheapHash("bench-password")
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i := range users {
		group.Go(func() error {
			_, err := root.Logical().WriteWithContext(groupCtx, fmt.Sprintf("auth/userpass/users/user-%d", i),
				map[string]any{"password_hash": hash})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
		return err
	}
	next := 0
	return b.compared(ctx, idLogin, "login of a new entity, 1 client", each(1,
		func(ctx context.Context, client *api.Client) error {
			if next >= users {
				return fmt.Errorf("all %d users have logged in: more are needed for this machine", users)
			}
			_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("auth/userpass/login/user-%d", next),
				map[string]any{"password": "bench-password"})
			next++
			return err
		}))
}
