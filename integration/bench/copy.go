// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// firstCopy is the fourth row: a second secondary joins the primary that has been
// filled. The clock runs from the call of secondary/enable until it streams, so
// the adoption of keys and the change of role are in it.
func (b *bench) firstCopy(ctx context.Context) error {
	progress("first copy of %d entries", b.entries)
	if err := b.secondary.Stop(ctx, true); err != nil {
		return err
	}
	if err := fill(ctx, b.primary, b.entries); err != nil {
		return err
	}
	fresh, err := b.start(ctx, "fresh", "vault-replication")
	if err != nil {
		return err
	}
	b.fresh = fresh
	sampler := procfs.StartSampler(b.primary.Node(0).PID(), fresh.Node(0).PID())
	started := time.Now()
	err = fresh.JoinDR(ctx, b.primary)
	took := time.Since(started)
	peaks := sampler.Stop()
	if err != nil {
		return err
	}
	if err := fresh.WaitEqual(ctx, b.primary); err != nil {
		return err
	}
	r := figures.Row{
		ID:   idFirstCopy,
		What: fmt.Sprintf("first copy of %d entries of 512 bytes into raft, enable to streaming", b.entries),
		Notes: []string{took.Round(10 * time.Millisecond).String(),
			fmt.Sprintf("peak memory: primary %d MiB, secondary %d MiB", peaks[0]>>20, peaks[1]>>20)},
		Ours: rate(float64(b.entries) / took.Seconds()), Raw: map[string][]float64{"s": {took.Seconds()}},
	}
	for _, s := range []figures.Side{{Who: "bare raft", Values: b.raft},
		{Who: "`raft snapshot` of stock Vault", Values: b.snapshots}} {
		if s.Values != nil {
			r.Beside = append(r.Beside, s)
		}
	}
	b.add(r)
	return nil
}
