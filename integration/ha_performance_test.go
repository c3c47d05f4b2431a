// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// movingPerformance is a performance primary and a performance secondary of three nodes
// each. All writes of the load are sent to the secondary, which forwards them.
type movingPerformance struct {
	primary, secondary *cluster.Cluster
	writers            *load.Steady
}

// The active node moves on either side of a performance pair, by step-down and kill -9:
// the secondary's nodes go on reading, writes that they are sent go on reaching the
// primary, and nothing that was acknowledged is missing on either side.
func TestTheActiveNodeOfAPerformancePairMoves(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	c := &movingPerformance{}
	c.primary, c.secondary = threeNodes(t)
	require.NoError(t, c.primary.WaitVoters(ctx))
	require.NoError(t, c.secondary.WaitVoters(ctx))
	require.NoError(t, c.primary.EnablePerformancePrimary(ctx))
	require.NoError(t, load.Prepare(ctx, c.primary.Node(0).APIClient()))
	put(t, c.primary, load.Mount+"/known", map[string]any{"v": "known"})
	require.NoError(t, c.secondary.JoinPerformance(ctx, c.primary, "west"))
	requireOpenedAnew(t, c.secondary)
	requireMode(t, c.secondary, performanceMode, "secondary")
	// The activation token names all nodes. Of what an operator gives it is to learn them.
	address := c.leader(t, c.primary).ClusterAddress()
	write(t, c.leader(t, c.secondary).APIClient(), cluster.PathPerformance+"secondary/update-primary",
		map[string]any{"update_primary_addrs": address})
	var nodes []*api.Client
	for i := range 3 {
		nodes = append(nodes, c.secondary.Node(i).APIClient())
	}
	c.writers = load.StartSteady(ctx, nodes, 4)
	t.Cleanup(c.writers.Stop)
	c.goesOn(t, "all is well")

	active := c.leader(t, c.primary)
	reads := c.read(t)
	require.NoError(t, active.APIClient().Sys().StepDownWithContext(ctx))
	c.moved(t, c.primary, active)
	c.goesOn(t, "the primary's active node stepped down")

	active = c.leader(t, c.primary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, c.primary, active)
	c.goesOn(t, "the primary's active node was killed")
	c.back(t, active)
	require.NoError(t, reads(), "the secondary reads without its primary")

	active = c.leader(t, c.secondary)
	require.NoError(t, active.APIClient().Sys().StepDownWithContext(ctx))
	c.moved(t, c.secondary, active)
	c.goesOn(t, "the secondary's active node stepped down")

	active = c.leader(t, c.secondary)
	require.NoError(t, active.Kill(ctx))
	c.moved(t, c.secondary, active)
	c.goesOn(t, "the secondary's active node was killed")
	c.back(t, active)

	c.writers.Stop()
	t.Logf("%d writes were acknowledged, %d attempts were not", c.writers.Acknowledged(), c.writers.Failed())
	require.NoError(t, c.writers.Missing(ctx, c.leader(t, c.primary).APIClient()))
	for i := range 3 {
		n := c.secondary.Node(i)
		cluster.Eventually(t, limit, n.Name()+" has what was acknowledged", func(ctx context.Context) error {
			return c.writers.Missing(ctx, n.APIClient())
		})
	}
	require.Equal(t, 1, copiesOf(t, c.secondary), "the first copy is the only one")
}

func (c *movingPerformance) leader(t *testing.T, of *cluster.Cluster) *cluster.Node {
	t.Helper()
	n, err := of.WaitLeader(t.Context())
	require.NoError(t, err)
	return n
}

func (c *movingPerformance) moved(t *testing.T, of *cluster.Cluster, from *cluster.Node) {
	t.Helper()
	_, err := of.WaitOtherActive(t.Context(), from)
	require.NoError(t, err)
}

// back starts a node again that was killed.
func (c *movingPerformance) back(t *testing.T, n *cluster.Node) {
	t.Helper()
	require.NoError(t, n.Start(t.Context()))
	require.NoError(t, n.Unseal(t.Context()))
	require.NoError(t, n.WaitStandby(t.Context()))
}

// goesOn waits until forwarded writes are acknowledged that were sent after this was
// called, and the secondary, which streams, serves them.
func (c *movingPerformance) goesOn(t *testing.T, when string) {
	t.Helper()
	begun, before := time.Now(), c.writers.Acknowledged()
	cluster.Eventually(t, limit, "forwarded writes are acknowledged after "+when, func(context.Context) error {
		if now := c.writers.Acknowledged(); now < before+40 {
			return fmt.Errorf("%d since", now-before)
		}
		return nil
	})
	written := time.Since(begun)
	at, err := c.leader(t, c.primary).PerformanceStatus(t.Context())
	require.NoError(t, err)
	cluster.Eventually(t, limit, "the secondary follows after "+when, func(ctx context.Context) error {
		n, err := c.secondary.WaitLeader(ctx)
		if err != nil {
			return err
		}
		s, err := n.PerformanceStatus(ctx)
		if err == nil && (s.State != "stream-wals" || s.LastRemoteWAL < at.LastPerformanceWAL || len(s.KnownPrimaries) != 3) {
			err = fmt.Errorf("%s at %d of %d, knows %v, %s", s.State, s.LastRemoteWAL, at.LastPerformanceWAL, s.KnownPrimaries,
				s.LastError)
		}
		return err
	})
	t.Logf("%s: forwarded writes went on after %s, the secondary had them after %s", when, written.Round(time.Millisecond),
		time.Since(begun).Round(time.Millisecond))
}

// read reads from all nodes of the secondary until the function that it returns is
// called, which says what failed.
func (c *movingPerformance) read(t *testing.T) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	for i := range 3 {
		n := c.secondary.Node(i)
		client := n.APIClient()
		wg.Go(func() {
			for ctx.Err() == nil {
				secret, err := client.Logical().ReadWithContext(ctx, load.Mount+"/known")
				if err == nil && (secret == nil || secret.Data["v"] != "known") {
					err = errors.New("it is not there")
				}
				if err != nil && ctx.Err() == nil {
					mu.Lock()
					failed = append(failed, fmt.Errorf("%s: %w", n.Name(), err))
					mu.Unlock()
					return
				}
			}
		})
	}
	end = func() error { cancel(); wg.Wait(); return errors.Join(failed...) }
	t.Cleanup(func() { _ = end() })
	return end
}
