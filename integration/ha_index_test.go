// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// An index of a cluster of three nodes, auto-unsealed, over its life: the node that
// takes the leadership over takes up what the one before has stored, on a secondary and,
// after its promotion, on the primary; so does the former primary that follows it, and
// both after a kill -9 of all. Nobody reads everything or compares with the other side,
// and no operator has to come for a standby.
func TestTheStoredIndexIsTakenOver(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	opts := cluster.Options{
		Name: "former", Binary: product(t), CA: cluster.NewTestCA(t), Storage: cluster.File,
		Shares: 3, Threshold: 2, LogLevel: "debug",
	}
	former := cluster.New(t, opts)
	client := former.Node(0).APIClient()
	require.NoError(t, load.Prepare(ctx, client))
	fill, fillCtx := errgroup.WithContext(ctx)
	fill.Go(func() error { return load.Fill(fillCtx, client, manyKeys, "a") })
	opts.Name, opts.Storage, opts.Nodes, opts.Seal, opts.Shares, opts.Threshold = "three", cluster.Raft, 3,
		sealProvider(t), 1, 1
	three := cluster.New(t, opts)
	require.NoError(t, three.WaitVoters(ctx))
	require.NoError(t, fill.Wait())
	require.NoError(t, former.EnableDRPrimary(ctx))
	require.NoError(t, three.JoinDR(ctx, former))
	for i := range 3 {
		require.NoError(t, three.Node(i).WaitStreaming(ctx), "it has unsealed itself with the new keys")
	}
	c := &moving{primary: former, secondary: three, known: 1}
	c.same(t)

	awaitStoredIndex(t, c.leader(t, three), 0)
	killed := killActive(t, three)
	c.same(t)
	require.Equal(t, 1, c.copies(t), "the first copy is the only one")
	require.NoError(t, killed.Start(ctx))
	require.NoError(t, killed.WaitStandby(ctx))

	write(t, client, cluster.PathPrimaryDemote, nil)
	require.NoError(t, former.Node(0).WaitRole(ctx, "secondary"))
	token, err := three.OperationToken()
	require.NoError(t, err)
	offsets := logSizes(t, three)
	cluster.Eventually(t, limit, "a standby has the cluster promoted", func(ctx context.Context) error {
		_, err := killed.Anonymous().Logical().WriteWithContext(ctx, cluster.PathSecondaryPromote,
			map[string]any{"dr_operation_token": token})
		return err
	})
	requireMode(t, three, drMode, "primary")
	requireTakenUp(t, c.leader(t, three), offsets[c.leader(t, three)])
	requireAllServe(t, three, offsets)
	require.NoError(t, former.RejoinDR(ctx, three, "former"))
	c.primary, c.secondary, c.known = three, former, 3
	c.same(t)
	requireRightIndexes(t, c)
	copies := c.copies(t)
	killed = killActive(t, three)
	require.NoError(t, killed.Start(ctx))
	require.NoError(t, killed.WaitStandby(ctx))
	requireAllServe(t, three, offsets)
	c.same(t)

	for _, side := range []*cluster.Cluster{former, three} {
		offsets := logSizes(t, side)
		require.NoError(t, side.Restart(ctx, false))
		requireTakenUp(t, c.leader(t, side), offsets[c.leader(t, side)])
	}
	c.same(t)
	requireRightIndexes(t, c)
	require.Equal(t, copies, c.copies(t), "no comparison for any of it")
}

// manyKeys make three blocks of an index or more, whatever their names are hashed to: a
// change of the leader writes keys of the first and of the last one.
const manyKeys = 22_000

var (
	storedLine = regexp.MustCompile(
		`blocks of the index of the replicated content were stored: mode=dr stored=(\d+) of=(\d+)`)
	takenLine = regexp.MustCompile(
		`the index of the replicated content was stored, and is compared with the storage now: mode=dr keys=(\d+) read=(\d+)`)
)

// awaitStoredIndex waits until a node has stored its whole index after an offset of its
// log.
func awaitStoredIndex(t *testing.T, n *cluster.Node, offset int64) {
	t.Helper()
	cluster.Eventually(t, limit, n.Name()+" has stored its index", func(context.Context) error {
		log, err := n.LogFrom(offset)
		if err != nil {
			return err
		}
		lines := storedLine.FindAllSubmatch(log, -1)
		if len(lines) == 0 {
			return errors.New("it has stored none of it")
		}
		last := lines[len(lines)-1]
		if string(last[1]) != string(last[2]) {
			return fmt.Errorf("%s of %s blocks are stored", last[1], last[2])
		}
		return nil
	})
}

// requireTakenUp asserts that a node has taken up a stored index after an offset of its
// log, and did not read what it counts between the blocks that were just written.
func requireTakenUp(t *testing.T, n *cluster.Node, offset int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, n.WaitLog(ctx, offset, "the index of the replicated content was stored, and is compared"))
	log, err := n.LogFrom(offset)
	require.NoError(t, err)
	line := takenLine.FindSubmatch(log)
	require.NotNil(t, line)
	keys, err := strconv.Atoi(string(line[1]))
	require.NoError(t, err)
	read, err := strconv.Atoi(string(line[2]))
	require.NoError(t, err)
	require.Greater(t, keys, manyKeys)
	require.Less(t, read, keys*9/10)
	t.Logf("%s took up %d keys and read %d", n.Name(), keys, read)
}

// killActive kills the node that leads, and waits until another one does, which has taken
// up the stored index.
func killActive(t *testing.T, c *cluster.Cluster) (killed *cluster.Node) {
	t.Helper()
	killed, err := c.WaitLeader(t.Context())
	require.NoError(t, err)
	offsets := logSizes(t, c)
	require.NoError(t, killed.Kill(t.Context()))
	next, err := c.WaitOtherActive(t.Context(), killed)
	require.NoError(t, err)
	requireTakenUp(t, next, offsets[next])
	return killed
}

// logSizes are the ends of the logs of all nodes now.
func logSizes(t *testing.T, c *cluster.Cluster) map[*cluster.Node]int64 {
	t.Helper()
	sizes := map[*cluster.Node]int64{}
	for i := range c.Nodes() {
		size, err := c.Node(i).LogSize()
		require.NoError(t, err)
		sizes[c.Node(i)] = size
	}
	return sizes
}

// requireAllServe waits until each node of a primary accepts a write and has the writes of
// the others. It asserts that no node has sealed itself since.
func requireAllServe(t *testing.T, c *cluster.Cluster, since map[*cluster.Node]int64) {
	t.Helper()
	path := func(node int) string { return fmt.Sprintf("%s/served/%d", load.Mount, node) }
	for i := range c.Nodes() {
		cluster.Eventually(t, limit, c.Node(i).Name()+" takes a write", func(ctx context.Context) error {
			_, err := c.Node(i).APIClient().Logical().WriteWithContext(ctx, path(i), map[string]any{"n": i})
			return err
		})
	}
	for i := range c.Nodes() {
		cluster.Eventually(t, limit, c.Node(i).Name()+" has all writes", func(ctx context.Context) error {
			for j := range c.Nodes() {
				secret, err := c.Node(i).APIClient().Logical().ReadWithContext(ctx, path(j))
				if err == nil && secret == nil {
					err = errors.New(path(j) + " is not there")
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for n, offset := range since {
		log, err := n.LogFrom(offset)
		require.NoError(t, err)
		require.NotContains(t, string(log), "this standby seals itself", n.Name())
	}
}

// requireRightIndexes has both sides compare their indexes with their storage.
func requireRightIndexes(t *testing.T, c *moving) {
	t.Helper()
	token, err := c.secondary.OperationToken()
	require.NoError(t, err)
	secondary := write(t, c.leader(t, c.secondary).Anonymous(), "sys/replication/dr/secondary/merkle-check",
		map[string]any{"dr_operation_token": token})
	primary := write(t, c.leader(t, c.primary).APIClient(), "sys/replication/dr/merkle-check", nil)
	for _, report := range []map[string]any{primary.Data, secondary.Data} {
		require.Equal(t, false, report["merkle_corruption_report"].(map[string]any)["corrupted_root"])
	}
}
