// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// loadEnv is how long the mixed load lasts, 20s by default; a soak takes 5m.
const loadEnv = "VAULT_REPLICATION_LOAD"

// Sixteen clients of a performance secondary notice neither changes on the
// primary nor, but for what needs the primary, that the link is cut.
func TestPerformanceServesMixedLoadWhileThePrimaryChangesAndTheLinkIsCut(t *testing.T) {
	parallel(t)
	const clients = 16
	ctx := t.Context()
	primary, secondary := clusters(t, cluster.Options{})
	root := primary.Node(0).APIClient()
	require.NoError(t, load.PrepareClients(ctx, root, clients))

	link, err := cable.Lay(strings.TrimPrefix(primary.Node(0).ClusterAddress(), "https://"))
	require.NoError(t, err)
	t.Cleanup(link.Close)
	_, err = root.Logical().WriteWithContext(ctx, cluster.PathPerformance+"primary/enable", map[string]any{"primary_cluster_addr": "https://" + link.Addr()})
	require.NoError(t, err)
	require.NoError(t, primary.Node(0).WaitPerformanceRole(ctx, "primary"))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))

	working, err := load.StartClients(ctx, secondary.Node(0).APIClient, clients)
	require.NoError(t, err)
	end := time.Now().Add(loadDuration(t))
	for round := 0; time.Now().Before(end) || round < 2; round++ {
		// With the link whole nothing is excused, before the change and after it.
		calm(t, working)
		changePrimary(t, root, round)
		calm(t, working)
		cutAndMend(t, working, link, root, secondary, round)
	}
	last, wrong := working.Stop()
	t.Log(working.Report())
	require.NoError(t, wrong)
	require.NotEmpty(t, last)
	for path, value := range last {
		secret, err := root.Logical().ReadWithContext(ctx, path)
		require.NoError(t, err)
		require.NotNil(t, secret, path)
		require.Equal(t, value, secret.Data["value"], path)
	}
}

// calm waits until the clients have had some forwarded requests carried out.
func calm(t *testing.T, working *load.Clients) {
	t.Helper()
	const enough = 64
	from := working.Forwarded()
	cluster.Eventually(t, limit, "the clients work", func(context.Context) error {
		if n := working.Forwarded() - from; n < enough {
			return fmt.Errorf("%d of %d forwarded requests", n, enough)
		}
		return nil
	})
}

func loadDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(loadEnv)
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

func changePrimary(t *testing.T, root *api.Client, round int) {
	t.Helper()
	ctx, mount := t.Context(), fmt.Sprintf("passing-%d", round)
	require.NoError(t, root.Sys().MountWithContext(ctx, mount, &api.MountInput{Type: "kv"}))
	rule := fmt.Sprintf("%s\npath %q { capabilities = [\"read\"] }", load.Policy, mount+"/*")
	require.NoError(t, root.Sys().PutPolicyWithContext(ctx, "load", rule))
	require.NoError(t, root.Sys().RotateWithContext(ctx))
	_, err := root.Logical().WriteWithContext(ctx, "transit/keys/load/rotate", nil)
	require.NoError(t, err)
	require.NoError(t, root.Sys().UnmountWithContext(ctx, mount))
}

// cutAndMend has the primary write while the link is out. The outage ends for
// the clients when that write is there and one of the secondary's own goes through.
func cutAndMend(t *testing.T, working *load.Clients, link *cable.Cable, root *api.Client, secondary *cluster.Cluster, round int) {
	t.Helper()
	ctx, there := t.Context(), secondary.Node(0).APIClient()
	there.SetMaxRetries(0)
	path, data := load.Mount+"/link", map[string]any{"value": fmt.Sprint(round)}
	working.Outage.Begin()
	link.Cut()
	cluster.Eventually(t, limit, "a write of the secondary fails while the link is cut", func(ctx context.Context) error {
		if _, err := there.Logical().WriteWithContext(ctx, path+"-out", data); err == nil {
			return fmt.Errorf("it went through")
		}
		return nil
	})
	_, err := root.Logical().WriteWithContext(ctx, path, data)
	require.NoError(t, err)
	link.Mend()
	cluster.Eventually(t, limit, "the link works again", func(ctx context.Context) error {
		if _, err := there.Logical().WriteWithContext(ctx, path+"-back", data); err != nil {
			return err
		}
		secret, err := there.Logical().ReadWithContext(ctx, path)
		if err != nil {
			return err
		}
		if secret == nil || secret.Data["value"] != data["value"] {
			return fmt.Errorf("what the primary wrote has not arrived: %v", secret)
		}
		return nil
	})
	working.Outage.End()
}
