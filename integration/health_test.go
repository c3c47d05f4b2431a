// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// sys/health of each role, with the parameters that a load balancer asks for another status
// with. No role answers 473: it means a performance standby, which Vault's community
// edition does not have.
func TestHealthOfEachRole(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	us, eu := performancePair(t)
	dr := cluster.New(t, cluster.Options{Name: "dr", Binary: product(t), CA: us.Options().CA})
	require.NoError(t, us.EnableDRPrimary(ctx))
	require.NoError(t, dr.JoinDR(ctx, us))

	serving := map[string]int{
		"": 200, "?activecode=296": 296, "?drsecondarycode=299": 200,
		"?performancestandbycode=298&standbycode=297&sealedcode=295&uninitcode=294": 200,
	}
	for name, role := range map[string]struct {
		cluster                 *cluster.Cluster
		performanceMode, drMode string
		codes                   map[string]int
	}{
		"primary in both modes": {us, "primary", "primary", serving},
		"performance secondary": {eu, "secondary", "disabled", serving},
		"DR secondary": {dr, "disabled", "secondary", map[string]int{
			"": 472, "?drsecondarycode=299": 299, "?standbyok=true&perfstandbyok=true&activecode=296": 472,
			"?performancestandbycode=298&standbycode=297&sealedcode=295&uninitcode=294": 472,
		}},
	} {
		health, err := role.cluster.Node(0).Health(ctx)
		require.NoError(t, err, name)
		require.True(t, health.Initialized, name)
		require.False(t, health.Sealed || health.Standby || health.PerformanceStandby, name)
		require.Equal(t, role.performanceMode, health.ReplicationPerformanceMode, name)
		require.Equal(t, role.drMode, health.ReplicationDRMode, name)
		for query, want := range role.codes {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				code, _ := call(ctx, t, role.cluster, method, "sys/health"+query)
				require.Equal(t, want, code, "%s, %s %s", name, method, query)
			}
		}
	}
}
