// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// sample is one turn of one side.
type sample struct {
	perSecond   float64
	cpuPerWrite time.Duration
}

func turn(ctx context.Context, c *cluster.Cluster, clients int, limit time.Duration) (sample, error) {
	before, err := procfs.TreeCPU(c.Node(0).PID())
	if err != nil {
		return sample{}, err
	}
	writes, took, err := write(ctx, c, clients, limit)
	if err != nil {
		return sample{}, err
	}
	after, err := procfs.TreeCPU(c.Node(0).PID())
	if err != nil {
		return sample{}, err
	}
	return sample{float64(writes) / took.Seconds(), (after - before) / time.Duration(max(writes, 1))}, nil
}

// pairs lets stock Vault and the primary take turns; which one begins alternates.
func (b *bench) pairs(ctx context.Context, clients int) (plain, ours []sample, err error) {
	// One turn each is not counted: connections, caches and files are new.
	for _, c := range []*cluster.Cluster{b.plain, b.primary} {
		if _, err := turn(ctx, c, clients, b.round/4); err != nil {
			return nil, nil, err
		}
	}
	for n := range b.rounds {
		order := []*cluster.Cluster{b.plain, b.primary}
		if n%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, c := range order {
			s, err := turn(ctx, c, clients, b.round)
			if err != nil {
				return nil, nil, err
			}
			if c == b.plain {
				plain = append(plain, s)
			} else {
				ours = append(ours, s)
			}
		}
	}
	return plain, ours, nil
}

// throughput is the first row: replication enabled, a slot open, no secondary
// connected.
func (b *bench) throughput(ctx context.Context) error {
	for _, clients := range []int{1, 16, 64} {
		progress("write throughput with %d clients", clients)
		plain, ours, err := b.pairs(ctx, clients)
		if err != nil {
			return err
		}
		perSecond := func(s sample) float64 { return s.perSecond }
		b.add(row{
			what:   fmt.Sprintf("write throughput, %d clients, slot open, no secondary connected", clients),
			plain:  fmt.Sprintf("%.0f/s", median(plain, perSecond)),
			ours:   fmt.Sprintf("%.0f/s", median(ours, perSecond)),
			ratio:  ratio(ours, plain, perSecond),
			target: "≥ 0.95",
		})
	}
	return nil
}

// processorTime is the second row: the secondary is up and streams; only the
// primary's host and plugins are counted.
func (b *bench) processorTime(ctx context.Context) error {
	progress("processor time a write with a secondary streaming")
	if err := b.secondary.Node(0).Start(ctx); err != nil {
		return err
	}
	if err := b.secondary.Unseal(ctx); err != nil {
		return err
	}
	if err := b.secondary.Node(0).WaitStreaming(ctx); err != nil {
		return err
	}
	if err := b.secondary.WaitEqual(ctx, b.primary); err != nil {
		return err
	}
	plain, ours, err := b.pairs(ctx, 16)
	if err != nil {
		return err
	}
	cpu := func(s sample) float64 { return float64(s.cpuPerWrite.Nanoseconds()) / 1000 }
	b.add(row{
		what:   "processor time a write, host and plugins, one secondary streaming, 16 clients",
		plain:  fmt.Sprintf("%.0f µs", median(plain, cpu)),
		ours:   fmt.Sprintf("%.0f µs", median(ours, cpu)),
		ratio:  ratio(ours, plain, cpu),
		target: "≤ 1.25",
	})
	return nil
}
