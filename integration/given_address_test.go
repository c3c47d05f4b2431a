// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// With resolver_discover_servers = false a secondary uses the address that it was given. Another one goes around it.
func TestOnlyTheGivenAddressIsUsedByASecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	p := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca})
	s := cluster.New(t, cluster.Options{Name: "secondary", Binary: product(t), CA: ca,
		ExtraHCL: "replication {\n  resolver_discover_servers = false\n}"})
	other := cluster.New(t, cluster.Options{Name: "other", Binary: product(t), CA: ca})
	balancer, err := cable.Lay(strings.TrimPrefix(p.Node(0).ClusterAddress(), "https://"))
	require.NoError(t, err)
	t.Cleanup(balancer.Close)
	given := "https://" + balancer.Addr()
	write(t, p.Node(0).APIClient(), cluster.PathPrimaryEnable, map[string]any{"primary_cluster_addr": given})
	require.NoError(t, p.Node(0).WaitRole(ctx, "primary"))
	for _, c := range []*cluster.Cluster{s, other} {
		require.NoError(t, c.JoinDR(ctx, p))
		require.NoError(t, c.Node(0).WaitDR(ctx, "uses the balancer", at(given)))
	}

	balancer.Cut()
	require.NoError(t, other.Node(0).WaitDR(ctx, "has gone around it", at(p.Node(0).ClusterAddress())))
	require.NoError(t, other.Node(0).WaitStreaming(ctx))
	away := func(status *cluster.DRStatus) error {
		if status.State == "stream-wals" || !strings.Contains(status.LastError, balancer.Addr()) {
			return fmt.Errorf("state %s, last_error %q", status.State, status.LastError)
		}
		return nil
	}
	require.NoError(t, s.Node(0).WaitDR(ctx, "is cut off", away))
	require.NoError(t, s.Restart(ctx, true))
	require.NoError(t, s.Node(0).WaitDR(ctx, "is cut off after its restart", away))
	balancer.Mend()
	require.NoError(t, s.Node(0).WaitStreaming(ctx))
	require.NoError(t, s.Node(0).WaitDR(ctx, "uses the balancer", at(given)))
	write(t, p.Node(0).APIClient(), "cubbyhole/a", map[string]any{"a": "b"})
	require.NoError(t, s.WaitEqual(ctx, p))
}

func at(address string) func(*cluster.DRStatus) error {
	return func(status *cluster.DRStatus) error {
		if status.Primary != address {
			return fmt.Errorf("it is at %q, last_error %q", status.Primary, status.LastError)
		}
		return nil
	}
}
