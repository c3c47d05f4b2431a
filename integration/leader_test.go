// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// When the leadership of a primary of three nodes moves, its secondary finds the
// new leader by itself: it has learnt the addresses of all nodes.
func TestSecondaryFindsTheNewLeader(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	ca := cluster.NewTestCA(t)
	primary := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca, Nodes: 3})
	secondary := cluster.New(t, cluster.Options{Name: "secondary", Binary: product(t), CA: ca})
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "knows all nodes", func(s *cluster.DRStatus) error {
		if len(s.KnownPrimaries) != 3 {
			return fmt.Errorf("knows %v", s.KnownPrimaries)
		}
		return nil
	}))

	// A node has no vote before raft's autopilot finds it stable.
	cluster.Eventually(t, limit, "all nodes have a vote", func(ctx context.Context) error {
		conf, err := primary.Node(0).APIClient().Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
		if err != nil {
			return err
		}
		voters := strings.Count(fmt.Sprint(conf.Data), "voter:true")
		if voters != 3 {
			return fmt.Errorf("%d of 3 have one", voters)
		}
		return nil
	})

	old, err := primary.Active(ctx)
	require.NoError(t, err)
	require.NoError(t, old.APIClient().Sys().StepDownWithContext(ctx))
	var leader *cluster.Node
	cluster.Eventually(t, limit, "another node leads", func(ctx context.Context) error {
		n, err := primary.Active(ctx)
		if err == nil && n == old {
			err = fmt.Errorf("it is still %s", n.Name())
		}
		leader = n
		return err
	})
	_, err = leader.APIClient().Logical().WriteWithContext(ctx, "cubbyhole/after", map[string]any{"the": "move"})
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "equals the new leader", func(s *cluster.DRStatus) error {
		p, err := leader.DRStatus(ctx)
		if err != nil {
			return err
		}
		if s.State != "stream-wals" || s.MerkleRoot == "" || s.MerkleRoot != p.MerkleRoot {
			return fmt.Errorf("state %s, root %q of %q, %s", s.State, s.MerkleRoot, p.MerkleRoot, s.LastError)
		}
		return nil
	}))
}
