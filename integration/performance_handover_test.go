// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// A performance secondary that is a DR primary is demoted there, in a planned switch,
// while its primary is written. Its DR secondary has exactly what it had and goes on in
// its place where it stood, without a copy.
func TestPlannedSwitchOfAPerformanceSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	// On file storage what a cluster has stored can be looked at from outside.
	us, eu := clusters(t, cluster.Options{Storage: cluster.File})
	require.NoError(t, us.EnablePerformancePrimary(ctx))
	require.NoError(t, eu.JoinPerformance(ctx, us, "eu"))
	euDR := cluster.New(t, cluster.Options{Name: "eu-dr", Binary: product(t), CA: us.Options().CA, Storage: cluster.File})
	require.NoError(t, eu.EnableDRPrimary(ctx))
	require.NoError(t, euDR.JoinDR(ctx, eu))
	require.NoError(t, load.Prepare(ctx, us.Node(0).APIClient()))

	writers := load.Start(ctx, us.Node(0).APIClient, 8)
	defer writers.Stop()
	cluster.Eventually(t, limit, "the writers are under way", func(context.Context) error {
		if n, _ := writers.Acknowledged(); n < 500 {
			return fmt.Errorf("%d writes so far", n)
		}
		return nil
	})
	put(t, eu, cluster.PathPrimaryDemote, nil)
	require.NoError(t, eu.Node(0).WaitRole(ctx, "secondary"))
	place := func(c *cluster.Cluster) string {
		t.Helper()
		row, err := os.ReadFile(filepath.Join(c.Node(0).DataDir(), "replication", "performance", "_cursor"))
		require.NoError(t, err)
		return string(row)
	}
	require.Equal(t, place(eu), place(euDR))

	offset, err := us.Node(0).LogSize()
	require.NoError(t, err)
	require.NoError(t, euDR.Promote(ctx))
	require.NoError(t, us.Node(0).WaitLog(ctx, offset, "decision=DECISION_RESUME"))
	require.NoError(t, euDR.Node(0).WaitPerformanceStreaming(ctx))
	journal := writers.Stop()
	require.NoError(t, euDR.WaitCaughtUp(ctx, us))
	held, err := load.Read(ctx, euDR.Node(0).APIClient())
	require.NoError(t, err)
	require.NoError(t, load.Check(journal, held, 0))
}
