// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Both sides show all that the stock client can read of the status.
func TestStatusIsReadByTheStockClient(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	p, err := primary.Node(0).APIClient().Sys().ReplicationStatus()
	require.NoError(t, err)
	s, err := secondary.Node(0).Anonymous().Sys().ReplicationStatus()
	require.NoError(t, err)

	require.Equal(t, "primary", p.DR.Mode)
	require.Equal(t, "running", p.DR.State)
	require.Equal(t, []string{secondary.ClusterID()}, p.DR.KnownSecondaries)
	require.Len(t, p.DR.Secondaries, 1)
	require.Equal(t, "connected", p.DR.Secondaries[0].ConnectionStatus)
	require.Equal(t, secondary.ClusterID(), p.DR.Secondaries[0].NodeID)
	require.NotZero(t, p.DR.LastDRWAL)

	require.Equal(t, "secondary", s.DR.Mode)
	require.Equal(t, "stream-wals", s.DR.State)
	require.Equal(t, p.DR.ClusterID, s.DR.ClusterID)
	require.Equal(t, secondary.ClusterID(), s.DR.SecondaryID)
	require.Contains(t, s.DR.KnownPrimaryClusterAddrs, primary.Node(0).ClusterAddress())
	require.Len(t, s.DR.Primaries, 1)
	require.Equal(t, "connected", s.DR.Primaries[0].ConnectionStatus)
	require.NotEmpty(t, s.DR.Primaries[0].ReplicationPrimaryCanaryAgeMillis)
	require.NotZero(t, s.DR.LastRemoteWAL)
	require.Equal(t, "disabled", s.Performance.Mode)

	code, _ := call(ctx, t, secondary, http.MethodGet, "sys/health")
	require.Equal(t, 472, code)
	code, _ = call(ctx, t, primary, http.MethodGet, "sys/health")
	require.Equal(t, 200, code)
}

// Demoting the reachable primary before the promotion loses nothing, and the
// demoted cluster serves no more.
func TestPlannedFailoverDemotesFirst(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	_, err := primary.Node(0).APIClient().Logical().Write("cubbyhole/last", map[string]any{"word": "yes"})
	require.NoError(t, err)
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	_, err = primary.Node(0).APIClient().Logical().Write(cluster.PathPrimaryDemote, nil)
	require.NoError(t, err)
	require.NoError(t, primary.Node(0).WaitRole(ctx, "secondary"))
	requireSecondary(t, primary)
	require.NoError(t, secondary.Promote(ctx))
	secret, err := secondary.Node(0).APIClient().Logical().Read("cubbyhole/last")
	require.NoError(t, err)
	require.Equal(t, "yes", secret.Data["word"])
}

// A secondary that is disabled is a Vault of its own with the data it had; a
// primary that is disabled goes on serving.
func TestDisableEndsReplicationOnly(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	_, err := primary.Node(0).APIClient().Logical().Write("cubbyhole/a", map[string]any{"b": "c"})
	require.NoError(t, err)
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	token, err := secondary.OperationToken()
	require.NoError(t, err)
	_, err = secondary.Node(0).Anonymous().Logical().Write(cluster.PathSecondaryDisable,
		map[string]any{"dr_operation_token": token})
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitRole(ctx, "disabled"))
	_, err = primary.Node(0).APIClient().Logical().Write(cluster.PathPrimaryDisable, nil)
	require.NoError(t, err)
	require.NoError(t, primary.Node(0).WaitRole(ctx, "disabled"))
	for _, c := range []*cluster.Cluster{primary, secondary} {
		secret, err := c.Node(0).APIClient().Logical().Read("cubbyhole/a")
		require.NoError(t, err)
		require.Equal(t, "c", fmt.Sprint(secret.Data["b"]))
	}
}
