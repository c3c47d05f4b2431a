// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// A first copy of 100,000 secrets of 512 bytes ends, is complete, and neither
// servers nor plugins hold it in memory on the way.
func TestFirstCopyOfManySecretsIsFlatInMemory(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	const secrets = 100_000
	primary, secondary := clusters(t, cluster.Options{})
	fill(t, primary, secrets)
	require.NoError(t, primary.EnableDRPrimary(ctx))

	idle := map[string]uint64{}
	for _, c := range []*cluster.Cluster{primary, secondary} {
		rss, err := procfs.TreeRSS(c.Node(0).PID())
		require.NoError(t, err)
		idle[c.ClusterID()] = rss
	}
	sampler := procfs.StartSampler(primary.Node(0).PID(), secondary.Node(0).PID())
	err := secondary.JoinDR(ctx, primary)
	peaks := sampler.Stop()
	require.NoError(t, err)
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	// The content is some 70 MB as stored. A process that kept it would grow by
	// at least that and the collector's headroom; caches of Vault itself and
	// bounded buffers stay well below.
	const most = 400 << 20
	for i, c := range []*cluster.Cluster{primary, secondary} {
		grown := int64(peaks[i]) - int64(idle[c.ClusterID()])
		t.Logf("%s: %d MiB idle, %d MiB at most", c.ClusterID(), idle[c.ClusterID()]>>20, peaks[i]>>20)
		require.Less(t, grown, int64(most), "%s grew by %d bytes", c.ClusterID(), grown)
	}

	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, secondary.Promote(ctx))
	list, err := secondary.Node(0).APIClient().Logical().ListWithContext(ctx, "many")
	require.NoError(t, err)
	require.Len(t, list.Data["keys"], secrets)
}

// fill writes secrets of 512 bytes from several clients.
func fill(t *testing.T, c *cluster.Cluster, secrets int) {
	t.Helper()
	require.NoError(t, c.Node(0).APIClient().Sys().Mount("many", &api.MountInput{Type: "kv"}))
	const clients = 32
	var group errgroup.Group
	var next sync.Mutex
	number := 0
	value := strings.Repeat("x", 512)
	for range clients {
		client := c.Node(0).APIClient()
		group.Go(func() error {
			for {
				next.Lock()
				n := number
				number++
				next.Unlock()
				if n >= secrets {
					return nil
				}
				if _, err := client.Logical().Write(fmt.Sprintf("many/%06d", n), map[string]any{"v": value}); err != nil {
					return err
				}
			}
		})
	}
	require.NoError(t, group.Wait())
}
