// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// killsEnv is how long processes are killed and the link fails, one round of all by
// default; a soak takes 10m.
const killsEnv = "VAULT_REPLICATION_KILLS"

// Whatever is killed under load, however the link fails, and how often: what was
// acknowledged is on both sides in the end, and nothing of it costs a copy or a comparison.
func TestKillsUnderLoad(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	link, primary, secondary := linked(t)
	c := &moving{primary: primary, secondary: secondary, known: 1}
	require.NoError(t, load.Prepare(ctx, primary.Node(0).APIClient()))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	c.write(t)
	c.follows(t, "all is well")

	victims := map[string]func(){
		"the primary's server":   func() { killServers(t, primary) },
		"the secondary's server": func() { killServers(t, secondary) },
		"both servers":           func() { killServers(t, primary, secondary) },
		"the primary's plugin":   func() { killPlugin(t, primary) },
		"the secondary's plugin": func() { killPlugin(t, secondary) },
		"both plugins":           func() { killPlugin(t, primary); killPlugin(t, secondary) },
	}
	for name, fail := range failures(link) {
		victims["the link ("+name+")"] = func() { noticed(t, secondary, fail); link.Mend() }
	}
	// A failure of the link is no excuse for a process that dies meanwhile.
	victims["the primary's server in a partition"] = func() {
		noticed(t, secondary, link.Freeze)
		killServers(t, primary)
		link.Mend()
	}
	victims["the secondary's plugin in a partition"] = func() {
		link.Freeze()
		killPlugin(t, secondary)
		link.Mend()
	}
	names := make([]string, 0, len(victims))
	for name := range victims {
		names = append(names, name)
	}
	until, rounds := time.Now().Add(duration(t, killsEnv, 0)), 0
	for rounds == 0 || time.Now().Before(until) {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			victims[name]()
			c.follows(t, name+" failed")
		}
		rounds++
	}
	c.writers.Stop()
	c.equal(t)
	require.Equal(t, 1, c.copies(t), "the first copy is the only one")
	cluster.Eventually(t, limit, "both sides have closed what is half open", func(context.Context) error {
		if n := link.HalfOpen(); n > 0 {
			return fmt.Errorf("%d connections are", n)
		}
		return nil
	})
	t.Logf("%d rounds, %d writes acknowledged, %d attempts failed", rounds, c.writers.Acknowledged(), c.writers.Failed())
}

// killServers kills servers at the same time and starts them again.
func killServers(t *testing.T, of ...*cluster.Cluster) {
	t.Helper()
	for _, c := range of {
		require.NoError(t, syscall.Kill(c.Node(0).PID(), syscall.SIGKILL))
	}
	for _, c := range of {
		require.NoError(t, c.Node(0).Kill(t.Context()))
		require.NoError(t, c.Node(0).Start(t.Context()))
		require.NoError(t, c.Unseal(t.Context()))
	}
}

// killPlugin kills the plugin's process, and waits until there is another one.
func killPlugin(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	killNamed(t, c, "replication-dr")
}

func killNamed(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	var old int
	cluster.Eventually(t, limit, "a plugin runs", func(context.Context) (err error) {
		old, err = pluginOf(c.Node(0), name)
		return err
	})
	require.NoError(t, syscall.Kill(old, syscall.SIGKILL))
	cluster.Eventually(t, limit, "the plugin is gone", func(context.Context) error {
		tree, err := procfs.Tree(c.Node(0).PID())
		if err != nil {
			return err
		}
		for _, pid := range tree {
			if pid == old {
				return os.ErrExist
			}
		}
		return nil
	})
}

// linked starts two clusters that are not connected yet. A cable leads to the first one.
func linked(t *testing.T) (link *cable.Cable, primary, secondary *cluster.Cluster) {
	t.Helper()
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	opts := cluster.Options{Name: "secondary", Binary: product(t), CA: cluster.NewTestCA(t)}
	secondary = cluster.New(t, opts)
	// The primary names the cable as its address, or the secondary would learn the way
	// around it.
	opts.Name, opts.ClusterAddr = "primary", "https://"+link.Addr()
	primary = cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(primary.Node(0).ClusterAddress(), "https://"))
	return link, primary, secondary
}

// failures are the ways in which a link fails.
func failures(link *cable.Cable) map[string]func() {
	return map[string]func(){
		"cut":             link.Cut,
		"nothing passes":  link.Freeze,
		"half open, up":   func() { link.Swallow(cable.ToTarget) },
		"half open, down": func() { link.Swallow(cable.FromTarget) },
	}
}

// noticed lets something happen to the link and waits until the secondary says so.
func noticed(t *testing.T, secondary *cluster.Cluster, fail func()) {
	t.Helper()
	fail()
	require.NoError(t, secondary.Node(0).WaitDR(t.Context(), "notices that the link fails",
		func(s *cluster.DRStatus) error {
			if s.State != "idle" || s.ConnectionState == "ready" || s.LastError == "" {
				return errors.New("not yet")
			}
			return nil
		}))
}
