// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/helper/testcluster"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// toldEnv is how long sessions end under load, a minute by default; a soak takes 10m.
const toldEnv = "VAULT_REPLICATION_TOLD"

// A running performance secondary was told what its storage has, however many sessions end
// while it is stored.
func TestWhatWasToldIsWhatIsStored(t *testing.T) {
	parallelAlone(t)
	p := &told{}
	p.primary, p.secondary = performancePair(t)
	p.run(t, p.endSession)
}

// The same where the active node moves, on either side.
func TestWhatWasToldIsWhatIsStoredOnThreeNodes(t *testing.T) {
	parallelAlone(t)
	ctx := t.Context()
	p := &told{}
	p.primary, p.secondary = threeNodes(t)
	require.NoError(t, p.primary.WaitVoters(ctx))
	require.NoError(t, p.secondary.WaitVoters(ctx))
	require.NoError(t, p.primary.EnablePerformancePrimary(ctx))
	require.NoError(t, p.secondary.JoinPerformance(ctx, p.primary, "west"))
	requireOpenedAnew(t, p.secondary)
	p.run(t, func(t *testing.T, second int) {
		if second%10 != 9 {
			p.endSession(t, second)
			return
		}
		of := []*cluster.Cluster{p.secondary, p.primary}[second/10%2]
		active := p.leader(t, of)
		require.NoError(t, active.APIClient().Sys().StepDownWithContext(t.Context()))
		_, err := of.WaitOtherActive(t.Context(), active)
		require.NoError(t, err)
		p.moves++
	})
	require.NotZero(t, p.moves)
}

// told is a performance pair whose sessions end all the time.
type told struct {
	primary, secondary            *cluster.Cluster
	remembered                    *load.Remembered
	kills, recovers, moves, again int
	// differ is the result of the last comparison that finished.
	differ error
}

func (p *told) run(t *testing.T, end func(t *testing.T, second int)) {
	t.Helper()
	ctx := t.Context()
	var err error
	p.remembered, err = load.PrepareRemembered(ctx, p.leader(t, p.primary).APIClient())
	require.NoError(t, err)
	require.NoError(t, p.leader(t, p.secondary).WaitPerformanceStreaming(ctx))
	cluster.Eventually(t, limit, "the secondary has all of it", p.same(t))
	p.remembered.Start(ctx, clients(p.primary), clients(p.secondary), 8)
	t.Cleanup(p.remembered.Stop)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	until := time.Now().Add(duration(t, toldEnv, time.Minute))
	for second := 0; time.Now().Before(until); second++ {
		<-tick.C
		end(t, second)
	}
	p.remembered.Stop()
	t.Logf("%s; %d plugins killed, %d times recover, %d times update-primary", p.remembered.Report(), p.kills, p.recovers,
		p.again)
	require.NotZero(t, p.kills*p.recovers*p.again)
	require.Greater(t, p.remembered.Changed(), int64(500))
	require.NoError(t, p.leader(t, p.secondary).WaitPerformanceStreaming(ctx))
	ended := time.Now()
	require.NoError(t, p.secondary.WaitCaughtUp(ctx, p.primary))
	t.Logf("the secondary had caught up %s after the last change", time.Since(ended).Round(time.Millisecond))
	require.NoError(t, testcluster.WaitForMatchingMerkleRoots(ctx, cluster.PathPerformance, p.primary, p.secondary))
	defer func() {
		if t.Failed() {
			t.Logf("the last comparison that was finished: %v", p.differ)
		}
	}()
	cluster.Eventually(t, limit, "the secondary serves what its storage has", p.same(t))
}

// endSession ends the session in each of the ways that there are. A call fails while the
// plugin is being started again. A plugin is killed when it has brought something.
func (p *told) endSession(t *testing.T, second int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	secondary := p.leader(t, p.secondary)
	client := secondary.APIClient()
	client.SetMaxRetries(0)
	switch second % 4 {
	case 0, 2:
		if _, err := client.Logical().WriteWithContext(ctx, "sys/replication/recover", nil); err == nil {
			p.recovers++
		}
	case 1:
		address := p.leader(t, p.primary).ClusterAddress()
		if _, err := client.Logical().WriteWithContext(ctx, cluster.PathPerformance+"secondary/update-primary",
			map[string]any{"update_primary_addrs": address}); err == nil {
			p.again++
		}
	case 3:
		of := secondary
		if second%8 == 7 {
			of = p.leader(t, p.primary)
		}
		if pid, err := pluginOf(of, "replication-performance"); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			p.kills++
		}
	}
}

// same says whether all nodes of the secondary serve what the primary does.
func (p *told) same(_ *testing.T) func(context.Context) error {
	return func(ctx context.Context) error {
		primary, err := p.primary.WaitLeader(ctx)
		if err != nil {
			return err
		}
		var all []error
		for i := range p.secondary.Nodes() {
			all = append(all, p.remembered.Same(ctx, primary.APIClient(), p.secondary.Node(i).APIClient()))
		}
		if err := errors.Join(all...); ctx.Err() == nil || p.differ == nil {
			p.differ = err
		}
		return p.differ
	}
}

func (p *told) leader(t *testing.T, of *cluster.Cluster) *cluster.Node {
	t.Helper()
	n, err := of.WaitLeader(t.Context())
	require.NoError(t, err)
	return n
}

func clients(c *cluster.Cluster) (all []*api.Client) {
	for i := range c.Nodes() {
		all = append(all, c.Node(i).APIClient())
	}
	return all
}

// duration reads an environment variable, such as 10m.
func duration(t *testing.T, env string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "%s is a time such as 10m", env)
	return d
}

// pluginOf is the process of a plugin of a node.
func pluginOf(n *cluster.Node, name string) (int, error) {
	tree, err := procfs.Tree(n.PID())
	if err != nil {
		return 0, err
	}
	for _, pid := range tree[1:] {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == name {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the server has no process %s", name)
}
