// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

const (
	lagRate    = 500 // writes a second
	lagWriters = 16
	lagProbe   = 50 * time.Millisecond
)

// lag is the third row. A DR secondary serves no reads, so its status stands for
// readability: it shows a sequence only after everything up to it was applied. A probe
// waits from a write's answer on the primary until the secondary's last_remote_wal has
// reached the primary's last_dr_wal, which is read after the answer. So the figure is
// rather too high than too low. It includes two HTTPS requests for status, and later writes
// up to the moment of the reading.
func (b *bench) lag(ctx context.Context) error {
	progress("lag at %d writes a second", lagRate)
	if err := b.secondary.WaitEqual(ctx, b.primary); err != nil {
		return err
	}
	lags, err := underLoad(ctx, b.primary, b.probe)
	if err != nil {
		return err
	}
	r := lagRow(idDRLag, fmt.Sprintf("lag at %d writes/s, answer on the primary to applied on the DR secondary", lagRate),
		figures.InSeconds(lags))
	r.Notes = append(r.Notes, "upper bound")
	b.besidePostgreSQL(&r)
	b.add(r)
	return nil
}

// underLoad probes while a primary is written at lagRate.
func underLoad(ctx context.Context, primary *cluster.Cluster, probe func(context.Context) ([]time.Duration, error)) (
	[]time.Duration, error) {
	loadCtx, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var load errgroup.Group
	for i := range lagWriters {
		load.Go(func() error { return pacedWriter(loadCtx, primary, i) })
	}
	lags, err := probe(ctx)
	stopLoad()
	if loadErr := load.Wait(); err == nil {
		err = loadErr
	}
	return lags, err
}

func pacedWriter(ctx context.Context, primary *cluster.Cluster, writer int) error {
	client := primary.Node(0).APIClient()
	ticker := time.NewTicker(time.Second * lagWriters / lagRate)
	defer ticker.Stop()
	for n := writer; ; n += lagWriters {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("bench/%06d", n%keySpace), value)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (b *bench) probe(ctx context.Context) ([]time.Duration, error) {
	client := b.primary.Node(0).APIClient()
	ticker := time.NewTicker(lagProbe)
	defer ticker.Stop()
	var lags []time.Duration
	for end := time.Now().Add(b.lagFor); time.Now().Before(end); <-ticker.C {
		if _, err := client.Logical().WriteWithContext(ctx, "bench/probe", value); err != nil {
			return nil, err
		}
		answered := time.Now()
		primary, err := b.primary.Node(0).DRStatus(ctx)
		if err != nil {
			return nil, err
		}
		for {
			secondary, err := b.secondary.Node(0).DRStatus(ctx)
			if err != nil {
				return nil, err
			}
			if secondary.LastRemoteWAL >= primary.LastDRWAL {
				break
			}
		}
		lags = append(lags, time.Since(answered))
	}
	return lags, nil
}
