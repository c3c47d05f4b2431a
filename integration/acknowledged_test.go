// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// Whatever way the primary ends under load, the promoted secondary is exactly
// the primary at one moment: with every write the secondary had acknowledged,
// and with no write without those before it.
func TestPromotedSecondaryIsThePrimaryAtOneMoment(t *testing.T) {
	t.Parallel()
	endings := map[string]func(ctx context.Context, primary *cluster.Cluster) error{
		"SIGTERM": func(ctx context.Context, primary *cluster.Cluster) error { return primary.Stop(ctx, true) },
		"kill -9": func(ctx context.Context, primary *cluster.Cluster) error { return primary.Stop(ctx, false) },
		"seal": func(ctx context.Context, primary *cluster.Cluster) error {
			return primary.Node(0).APIClient().Sys().SealWithContext(ctx)
		},
	}
	for name, end := range endings {
		for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
			t.Run(fmt.Sprintf("%s, %s", name, storage), func(t *testing.T) {
				parallel(t)
				endUnderLoad(t, storage, end)
			})
		}
	}
}

func endUnderLoad(t *testing.T, storage cluster.Storage, end func(context.Context, *cluster.Cluster) error) {
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{Storage: storage})
	require.NoError(t, load.Prepare(ctx, primary.Node(0).APIClient()))

	writers := load.Start(ctx, primary.Node(0).APIClient, 8)
	cluster.Eventually(t, limit, "the writers are under way", func(context.Context) error {
		if n, _ := writers.Acknowledged(); n < 500 {
			return fmt.Errorf("%d writes so far", n)
		}
		return nil
	})
	// What was acknowledged before the primary's position was read is below that
	// position; once the secondary has applied up to it, it has to survive.
	_, replicated := writers.Acknowledged()
	status, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "has applied the position", func(s *cluster.DRStatus) error {
		if s.LastRemoteWAL < status.LastDRWAL {
			return fmt.Errorf("at %d of %d", s.LastRemoteWAL, status.LastDRWAL)
		}
		return nil
	}))

	require.NoError(t, end(ctx, primary))
	journal := writers.Stop()
	require.NoError(t, secondary.Promote(ctx))
	held, err := load.Read(ctx, secondary.Node(0).APIClient())
	require.NoError(t, err)
	require.NoError(t, load.Check(journal, held, replicated))
}
