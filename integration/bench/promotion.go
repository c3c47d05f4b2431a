// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

func errorAs[T error](err error) (T, bool) {
	var target T
	return target, errors.As(err, &target)
}

// promotion kills the primary that the fresh secondary has copied, and promotes it.
func (b *bench) promotion(ctx context.Context) error {
	progress("promotion of one node")
	took, err := promoted(ctx, b.primary, b.fresh, "bench/00000000")
	if err != nil {
		return err
	}
	b.add(figures.Row{ID: idPromotion,
		What: fmt.Sprintf("promotion after a kill of the primary, command to first served read, "+
			"one node, raft, %d entries", b.entries), Notes: []string{afterQuiet}, Ours: seconds(took.Seconds())})
	return nil
}

// quiet is somewhat more than what a secondary waits for after it has last heard of its primary: only then a
// promotion takes no time for that.
const (
	quiet      = 4 * time.Second
	afterQuiet = "asked 4 s after the loss of the primary; right after it a secondary waits for up to 3 s more"
)

// promoted kills the primary of a DR secondary, promotes the secondary once the primary was quiet, and reads a secret
// until it is served.
func promoted(ctx context.Context, primary, c *cluster.Cluster, path string) (time.Duration, error) {
	if err := primary.Node(0).Kill(ctx); err != nil {
		return 0, err
	}
	if err := c.Node(0).WaitDR(ctx, "has lost its primary", func(s *cluster.DRStatus) error {
		if s.ConnectionState == "ready" {
			return errors.New("it is connected")
		}
		return nil
	}); err != nil {
		return 0, err
	}
	time.Sleep(quiet)
	token, err := c.OperationToken()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	n, reader := c.Node(0), c.Node(0).APIClient()
	started := time.Now()
	for {
		_, err := n.Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
			map[string]any{"dr_operation_token": token})
		if err == nil {
			break
		}
		if !passes(err) {
			return 0, err
		}
		time.Sleep(statusEvery)
	}
	for {
		secret, err := reader.Logical().ReadWithContext(ctx, path)
		if err == nil && secret != nil {
			return time.Since(started), nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%s is not served after the promotion: %w", path, errors.Join(err, ctx.Err()))
		}
		time.Sleep(statusEvery)
	}
}

// promotionOfThree is promotion of a secondary of three nodes whose primary had leases.
func (b *bench) promotionOfThree(ctx context.Context) error {
	progress("promotion of three nodes with %d leases", b.leases)
	primary, err := b.start(ctx, "leased", "vault-replication")
	if err != nil {
		return err
	}
	three, err := b.startThree(ctx)
	if err != nil {
		return err
	}
	if err := mount(ctx, primary); err != nil {
		return err
	}
	if _, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "bench/served", value); err != nil {
		return err
	}
	if err := leases(ctx, primary, b.leases); err != nil {
		return err
	}
	if err := primary.EnableDRPrimary(ctx); err != nil {
		return err
	}
	if err := three.JoinDR(ctx, primary); err != nil {
		return err
	}
	for i := 1; i < 3; i++ {
		if err := three.Node(i).WaitSealed(ctx); err != nil {
			return err
		}
		if err := three.Node(i).Unseal(ctx); err != nil {
			return err
		}
	}
	if err := three.WaitEqual(ctx, primary); err != nil {
		return err
	}
	took, err := promoted(ctx, primary, three, "bench/served")
	if err != nil {
		return err
	}
	b.add(figures.Row{ID: idPromotionThree, What: fmt.Sprintf("the same of three nodes with %d leases", b.leases),
		Notes: []string{afterQuiet}, Ours: seconds(took.Seconds())})
	return three.Stop(ctx, true)
}

func (b *bench) startThree(ctx context.Context) (*cluster.Cluster, error) {
	binary, err := filepath.Abs(filepath.Join(b.bin, "vault-replication"))
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Name: "three", Binary: binary, CA: b.ca, LogLevel: "warn", Nodes: 3})
	if err != nil {
		return nil, err
	}
	b.running = append(b.running, c)
	return c, c.WaitVoters(ctx)
}

// leases makes a number of tokens. Each has a lease.
func leases(ctx context.Context, c *cluster.Cluster, count int) error {
	const clients = 32
	group, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		client := c.Node(0).APIClient()
		group.Go(func() error {
			for n := i; n < count; n += clients {
				_, err := client.Auth().Token().CreateWithContext(ctx, &api.TokenCreateRequest{
					Policies: []string{"default"}, TTL: "12h"})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
