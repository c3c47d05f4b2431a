// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// The active node of a primary is cut off from its peers, but not from its clients and its
// secondary. What it is given from then on is not acknowledged. The stream goes on from the
// node that leads now, without a copy, and all that was acknowledged is there.
func TestTheActiveNodeIsCutOffFromItsPeers(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Nodes: 3, Partitions: true}
	primary := cluster.New(t, opts)
	opts.Name, opts.Nodes, opts.Partitions = "secondary", 1, false
	c := &moving{primary: primary, secondary: cluster.New(t, opts), known: 3}
	require.NoError(t, primary.WaitVoters(ctx))
	require.NoError(t, load.Prepare(ctx, primary.Node(0).APIClient()))
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, c.secondary.JoinDR(ctx, primary))
	c.write(t)
	c.follows(t, "all is well")

	deposed := c.leader(t, primary)
	late := writeTo(t, deposed)
	late.phase(t)
	primary.CutOff(deposed)
	late.phase(t)
	c.moved(t, primary, deposed)
	c.follows(t, "the primary's active node was cut off")
	require.Empty(t, late.phase(t), "a node that was cut off must not acknowledge")
	primary.Reconnect(deposed)
	require.NoError(t, deposed.WaitStandby(ctx))
	c.follows(t, "the deposed one is back")
	late.phase(t)
	late.stop()
	for _, path := range slices.Concat(late.acknowledged...) {
		secret, err := c.leader(t, primary).APIClient().Logical().ReadWithContext(ctx, path)
		require.NoError(t, err)
		require.NotNil(t, secret, "%s was acknowledged", path)
	}
	c.writers.Stop()
	t.Logf("%d writes were acknowledged, %d attempts were not", c.writers.Acknowledged(), c.writers.Failed())
	c.equal(t)
	require.Equal(t, 1, c.copies(t), "the first copy is the only one")

	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, c.secondary.Promote(ctx))
	require.NoError(t, c.writers.Missing(ctx, c.secondary.Node(0).APIClient()))
}

// late are writes to one node alone, several at a time.
type late struct {
	stop func()

	mu sync.Mutex
	// tried and acknowledged are by the phase in which a write was begun.
	tried        []int
	acknowledged [][]string
}

func writeTo(t *testing.T, n *cluster.Node) *late {
	ctx, cancel := context.WithCancel(t.Context())
	l := &late{tried: []int{0}, acknowledged: [][]string{nil}}
	var wg sync.WaitGroup
	l.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(l.stop)
	client := n.APIClient()
	client.SetClientTimeout(2 * time.Second)
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.mu.Lock()
				phase := len(l.tried) - 1
				l.mu.Unlock()
				path := fmt.Sprintf("%s/late/%s/%d/%d", load.Mount, n.Name(), w, i)
				_, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"i": i})
				l.mu.Lock()
				l.tried[phase]++
				if err == nil {
					l.acknowledged[phase] = append(l.acknowledged[phase], path)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// phase begins another phase once the writes that began in this one are answered. It
// returns the acknowledged writes of the phase that ends. A write under way belongs to the
// phase in which it began.
func (l *late) phase(t *testing.T) []string {
	t.Helper()
	l.mu.Lock()
	ends := len(l.tried) - 1
	l.mu.Unlock()
	cluster.Eventually(t, limit, "writes were tried", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.tried[ends] < 4 {
			return fmt.Errorf("%d were", l.tried[ends])
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried, l.acknowledged = append(l.tried, 0), append(l.acknowledged, nil)
	return l.acknowledged[ends]
}
