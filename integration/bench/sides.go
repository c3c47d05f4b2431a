// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// sample is one turn of one side.
type sample struct {
	perSecond   float64
	cpuPerWrite time.Duration
}

func perSecond(s sample) float64 { return s.perSecond }

// work does something against a cluster for a time, from a number of clients. It returns
// how often it did it, and the time to the last answer.
type work func(ctx context.Context, c *cluster.Cluster, limit time.Duration) (int64, time.Duration, error)

func writes(clients int) work {
	return func(ctx context.Context, c *cluster.Cluster, limit time.Duration) (int64, time.Duration, error) {
		return write(ctx, c, clients, limit)
	}
}

func turn(ctx context.Context, c *cluster.Cluster, do work, limit time.Duration) (sample, error) {
	before, err := procfs.TreeCPU(c.Node(0).PID())
	if err != nil {
		return sample{}, err
	}
	n, took, err := do(ctx, c, limit)
	if err != nil {
		return sample{}, err
	}
	after, err := procfs.TreeCPU(c.Node(0).PID())
	if err != nil {
		return sample{}, err
	}
	return sample{float64(n) / took.Seconds(), (after - before) / time.Duration(max(n, 1))}, nil
}

// turns lets two clusters do the same work in turns; which one begins alternates.
func (b *bench) turns(ctx context.Context, reference, measured *cluster.Cluster, do work) (plain, ours []sample,
	err error) {
	// One turn each is not counted: connections, caches and files are new.
	for _, c := range []*cluster.Cluster{reference, measured} {
		if _, err := turn(ctx, c, do, b.round/4); err != nil {
			return nil, nil, err
		}
	}
	for n := range b.rounds {
		order := []*cluster.Cluster{reference, measured}
		if n%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, c := range order {
			s, err := turn(ctx, c, do, b.round)
			if err != nil {
				return nil, nil, err
			}
			if c == reference {
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
	for _, w := range []struct {
		id      string
		clients int
	}{{idWrites1, 1}, {idWrites16, 16}, {idWrites64, 64}} {
		id, clients := w.id, w.clients
		progress("write throughput with %d clients", clients)
		plain, ours, err := b.turns(ctx, b.plain, b.primary, writes(clients))
		if err != nil {
			return err
		}
		what := fmt.Sprintf("write throughput, %d clients, slot open, no secondary connected", clients)
		b.add(compare(id, what, stock, ours, plain, perSecond, figures.PerSecond))
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
	plain, ours, err := b.turns(ctx, b.plain, b.primary, writes(16))
	if err != nil {
		return err
	}
	b.add(compare(idCPU, "processor time a write, host and plugins, one secondary streaming, 16 clients", stock, ours,
		plain,
		func(s sample) float64 { return s.cpuPerWrite.Seconds() }, figures.Seconds))
	return nil
}
