// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// threeNodes starts two clusters of three nodes each that trust one CA. They have different
// numbers of shares.
func threeNodes(t *testing.T) (primary, secondary *cluster.Cluster) {
	t.Helper()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Nodes: 3, Shares: 3,
		Threshold: 2}
	primary = cluster.New(t, opts)
	opts.Name, opts.Shares, opts.Threshold = "secondary", 1, 1
	return primary, cluster.New(t, opts)
}

// When a cluster of three becomes a DR secondary, its standbys seal themselves and the
// primary's shares open them. From then on they know the role of the cluster, and each
// later one, without being told: clients may use any node.
func TestStandbysOfANewDRSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := threeNodes(t)
	require.NoError(t, primary.EnableDRPrimary(ctx))
	put(t, primary, "cubbyhole/a", map[string]any{"b": "c"})
	require.NoError(t, secondary.JoinDR(ctx, primary))
	requireOpenedAnew(t, secondary)
	requireMode(t, secondary, drMode, "secondary")
	for i := range 3 {
		require.NoError(t, secondary.Node(i).WaitStreaming(ctx), "each node answers the status")
		requireGate(t, secondary.Node(i), primary.GetRootToken())
	}

	// Asked of a standby, carried out by the active node, followed by all. The primary works.
	token, err := testcluster.GenerateRoot(secondary, testcluster.GenerateRootDR)
	require.NoError(t, err)
	_, err = secondary.Node(2).Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
		map[string]any{"dr_operation_token": token, "force": true})
	require.NoError(t, err)
	requireMode(t, secondary, drMode, "primary")
	for i := range 3 {
		read := secondary.Node(i).APIClient().Logical()
		cluster.Eventually(t, limit, "the node serves as one of a primary", func(ctx context.Context) error {
			secret, err := read.ReadWithContext(ctx, "cubbyhole/a")
			if err == nil && secret == nil {
				err = errors.New("the secret is not there")
			}
			return err
		})
	}
}

// drMode and performanceMode are what sys/health says of a node.
func drMode(h *api.HealthResponse) string          { return h.ReplicationDRMode }
func performanceMode(h *api.HealthResponse) string { return h.ReplicationPerformanceMode }

// requireMode waits until each node of a cluster says that it has a role. A standby knows
// it from the last heartbeat of the active node.
func requireMode(t *testing.T, c *cluster.Cluster, of func(*api.HealthResponse) string, mode string) {
	t.Helper()
	for i := range 3 {
		n := c.Node(i)
		cluster.Eventually(t, limit, n.Name()+" is a "+mode, func(ctx context.Context) error {
			health, err := n.Health(ctx)
			if err == nil && of(health) != mode {
				err = fmt.Errorf("it is %q", of(health))
			}
			return err
		})
	}
}

// requireOpenedAnew waits until the standbys of a new secondary are sealed, none of
// them having led, and unseals them with the keys of the primary.
func requireOpenedAnew(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := t.Context()
	for _, i := range []int{1, 2} {
		n := c.Node(i)
		require.NoError(t, n.WaitSealed(ctx))
		status, err := n.Anonymous().Sys().SealStatusWithContext(ctx)
		require.NoError(t, err)
		require.Equal(t, []int{3, 2}, []int{status.N, status.T}, "it asks for the primary's shares")
		log, err := os.ReadFile(n.LogFile())
		require.NoError(t, err)
		require.NotContains(t, string(log), "post-unseal setup starting")
		require.NoError(t, n.Unseal(ctx))
	}
}

// The same in performance mode, where the first copy ends later, with a restart in
// place of the active node. A standby sends a write on to its active node, and that to
// the primary.
func TestStandbysOfANewPerformanceSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := threeNodes(t)
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	put(t, primary, "sys/mounts/kv", map[string]any{"type": "kv"})
	put(t, primary, "kv/a", map[string]any{"v": "one"})
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	requireOpenedAnew(t, secondary)
	requireMode(t, secondary, performanceMode, "secondary")
	for i := range 3 {
		n := secondary.Node(i)
		require.NoError(t, n.WaitPerformance(ctx, "streams", func(s *cluster.PerformanceStatus) error {
			if s.Mode != "secondary" || s.State != "stream-wals" {
				return errors.New("not yet")
			}
			return nil
		}))
		write(t, n.APIClient(), fmt.Sprintf("kv/from-%d", i), map[string]any{"v": "two"})
		secret, err := primary.Node(i).APIClient().Logical().ReadWithContext(ctx, fmt.Sprintf("kv/from-%d", i))
		require.NoError(t, err)
		require.NotNil(t, secret, "a write that a node of the secondary took is on the primary")
	}
}

// The active node may die the moment its cluster has become a secondary. Its standbys,
// which have keys that mean nothing any more, are the quorum then: neither of them
// leads, and with the new shares they go on as the secondary.
func TestActiveNodeDiesAsItsClusterBecomesASecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	primary := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca, Shares: 3, Threshold: 2})
	secondary := cluster.New(t, cluster.Options{Name: "secondary", Binary: product(t), CA: ca, Nodes: 3})
	require.NoError(t, secondary.WaitVoters(ctx))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	token, err := primary.ActivationToken(ctx, "secondary")
	require.NoError(t, err)
	write(t, secondary.Node(0).APIClient(), cluster.PathSecondaryEnable,
		map[string]any{"token": token, "ca_file": ca.File})
	cluster.Eventually(t, limit, "the cluster is a secondary", func(ctx context.Context) error {
		status, err := secondary.Node(0).DRStatus(ctx)
		if err == nil && status.Mode != "secondary" {
			err = errors.New(status.Mode)
		}
		return err
	})
	require.NoError(t, secondary.Node(0).Kill(ctx))
	secondary.Adopt(primary)
	requireOpenedAnew(t, secondary)

	active, err := secondary.WaitOtherActive(ctx, secondary.Node(0))
	require.NoError(t, err)
	require.NoError(t, active.WaitStreaming(ctx))
	require.NoError(t, secondary.Node(0).Start(ctx))
	require.NoError(t, secondary.Node(0).Unseal(ctx))
	require.NoError(t, secondary.Node(0).WaitStandby(ctx))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx), "it answers the status as all nodes do")
}
