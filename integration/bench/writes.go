// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// keySpace bounds the keys of the throughput rounds, so that the store does not grow
// without end. After that many keys they are overwritten.
const keySpace = 20_000

var value = map[string]any{"v": strings.Repeat("x", 512)}

func mount(ctx context.Context, c *cluster.Cluster) error {
	return c.Node(0).APIClient().Sys().MountWithContext(ctx, "bench", &api.MountInput{Type: "kv"})
}

// write writes from a number of clients for a time and returns how many writes
// were acknowledged and how long it took to the last answer.
func write(ctx context.Context, c *cluster.Cluster, clients int, limit time.Duration) (int64, time.Duration, error) {
	var done atomic.Int64
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		client := c.Node(0).APIClient()
		group.Go(func() error {
			for n := i; time.Since(started) < limit; n += clients {
				path := fmt.Sprintf("bench/%06d", n%keySpace)
				if _, err := client.Logical().WriteWithContext(ctx, path, value); err != nil {
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

// fill writes entries from several clients, each once.
func fill(ctx context.Context, c *cluster.Cluster, entries int) error {
	return fillFrom(ctx, c, 0, entries)
}

// fillFrom writes the entries of fill from one number to another.
func fillFrom(ctx context.Context, c *cluster.Cluster, from, to int) error {
	const clients = 32
	group, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		client := c.Node(0).APIClient()
		group.Go(func() error {
			for n := from + i; n < to; n += clients {
				if _, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("bench/%08d", n), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
