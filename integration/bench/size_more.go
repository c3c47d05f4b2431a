// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// sizeOfValues copies values near the largest that raft storage takes.
func (b *bench) sizeOfValues(ctx context.Context) error {
	const copies = 200
	g := grows("values",
		fmt.Sprintf("How fast %d more values are written on the primary and are on the secondary.", copies),
		"a value", figures.Axis{Name: "bytes a second", Unit: figures.Bytes})
	g.x.Unit = figures.Bytes
	defer g.plot(b)
	for _, size := range b.at.values {
		progress("values of %d bytes", size)
		started := time.Now()
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(8)
		large := map[string]any{"v": strings.Repeat("x", size)}
		client := b.us.Node(0).APIClient()
		for n := range copies {
			group.Go(func() error {
				_, err := client.Logical().WriteWithContext(groupCtx, fmt.Sprintf("bench/large-%d-%d", size, n), large)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		written := time.Since(started)
		if err := b.eu.WaitCaughtUp(ctx, b.us); err != nil {
			return err
		}
		g.at(b, size, "written a second", float64(size*copies)/written.Seconds())
		g.at(b, size, "on the secondary a second", float64(size*copies)/time.Since(started).Seconds())
	}
	return nil
}

// sizeOfLeases promotes a DR secondary of a primary with leases.
func (b *bench) sizeOfLeases(ctx context.Context) error {
	g := grows("leases", "How long a first copy for a DR secondary and its promotion take.", "leases", inSeconds)
	defer g.plot(b)
	for _, n := range b.at.leases {
		progress("%d leases", n)
		primary, err := b.start(ctx, fmt.Sprintf("leased-%d", n), "vault-replication")
		if err != nil {
			return err
		}
		secondary, err := b.start(ctx, fmt.Sprintf("heir-%d", n), "vault-replication")
		if err != nil {
			return err
		}
		if err := mount(ctx, primary); err != nil {
			return err
		}
		if _, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "bench/served", value); err != nil {
			return err
		}
		if err := leases(ctx, primary, n); err != nil {
			return err
		}
		if err := primary.EnableDRPrimary(ctx); err != nil {
			return err
		}
		started := time.Now()
		if err := secondary.JoinDR(ctx, primary); err != nil {
			return err
		}
		g.at(b, n, "first copy", time.Since(started).Seconds())
		if err := secondary.WaitEqual(ctx, primary); err != nil {
			return err
		}
		took, err := promoted(ctx, primary, secondary, "bench/served")
		if err != nil {
			return err
		}
		g.at(b, n, "promotion", took.Seconds())
		if err := secondary.Stop(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// sizeOfMounts measures a join and one more mount beside many.
func (b *bench) sizeOfMounts(ctx context.Context) error {
	g := grows("mounts", "How long a secondary takes to join, and until it serves one more mount.", "mounts", inSeconds)
	defer g.plot(b)
	primary, err := b.start(ctx, "mounted", "vault-replication")
	if err != nil {
		return err
	}
	if err := primary.EnablePerformancePrimary(ctx); err != nil {
		return err
	}
	client := primary.Node(0).APIClient()
	have := 0
	for _, n := range b.at.mounts {
		progress("%d mounts", n)
		for ; have < n; have++ {
			path := fmt.Sprintf("mount-%05d", have)
			if err := client.Sys().MountWithContext(ctx, path, &api.MountInput{Type: "kv"}); err != nil {
				return fmt.Errorf("mount %d of %d: %w", have, n, err)
			}
		}
		secondary, err := b.start(ctx, fmt.Sprintf("mounted-%d", n), "vault-replication")
		if err != nil {
			return err
		}
		started := time.Now()
		if err := secondary.JoinPerformance(ctx, primary, fmt.Sprintf("mounted-%d", n)); err != nil {
			return err
		}
		g.at(b, n, "join", time.Since(started).Seconds())
		one := fmt.Sprintf("one-more-%d", n)
		if err := client.Sys().MountWithContext(ctx, one, &api.MountInput{Type: "kv"}); err != nil {
			return err
		}
		started = time.Now()
		if _, err := client.Logical().WriteWithContext(ctx, one+"/k", map[string]any{"v": one}); err != nil {
			return err
		}
		if err := waitMounted(ctx, secondary, one+"/k", one); err != nil {
			return err
		}
		g.at(b, n, "one more mount", time.Since(started).Seconds())
		if err := secondary.Stop(ctx, true); err != nil {
			return err
		}
	}
	return primary.Stop(ctx, true)
}

// waitMounted is waitValue where the mount may not be there yet.
func waitMounted(ctx context.Context, c *cluster.Cluster, path, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	client := c.Node(0).APIClient()
	for {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err == nil && secret != nil && secret.Data["v"] == want {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s is not served: %w", path, err)
		}
		time.Sleep(statusEvery)
	}
}

// sizeOfSet measures the lag of one of many secondaries, which are servers of their own.
func (b *bench) sizeOfSet(ctx context.Context) error {
	g := grows("secondaries",
		fmt.Sprintf("Lag of one of many performance secondaries on one machine at %d writes a second, and "+
			"memory of the primary with its plugin.", lagRate), "secondaries", inSeconds)
	memory := grows("memory-of-secondaries",
		"Memory of the primary with its plugin, with many secondaries.", "secondaries",
		inBytes)
	defer g.plot(b)
	defer memory.plot(b)
	more := 1 // b.eu
	for _, n := range b.at.secondaries {
		progress("%d secondaries", n)
		for ; more < n; more++ {
			id := fmt.Sprintf("one-of-many-%d", more)
			c, err := b.start(ctx, id, "vault-replication")
			if err != nil {
				return err
			}
			if err := c.JoinPerformance(ctx, b.us, id); err != nil {
				return err
			}
		}
		watch := watchMemory(map[string]int{"primary": b.us.Node(0).PID()})
		lags, err := underLoad(ctx, b.us,
			func(ctx context.Context) ([]time.Duration, error) { return b.readable(ctx, untilDone(b.lagFor)) })
		lines := watch.stop()
		if err != nil {
			return err
		}
		numbers := figures.InSeconds(lags)
		g.at(b, n, "lag p50", figures.Percentile(numbers, 50))
		g.at(b, n, "lag p99", figures.Percentile(numbers, 99))
		for _, l := range lines {
			memory.at(b, n, "memory of the "+l.Name, most(l))
		}
	}
	return nil
}
