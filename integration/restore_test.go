// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// These tests bring the storage of a cluster back to what it was, while the other one
// has gone on. The two must end equal, and say what has happened.

// putNumbered writes some keys; the secondary of c is to have them.
func putNumbered(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	for i := range 20 {
		write(t, c.Node(0).APIClient(), fmt.Sprintf("cubbyhole/%s-%d", name, i), map[string]any{"n": name})
	}
}

func snapshotOf(t *testing.T, c *cluster.Cluster) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, c.Node(0).APIClient().Sys().RaftSnapshotWithContext(t.Context(), &b))
	return b.Bytes()
}

// restore brings a running cluster back to a snapshot, and waits until a key is gone
// that was written after it and the node serves.
func restore(t *testing.T, c *cluster.Cluster, snapshot []byte, gone string) {
	t.Helper()
	client := c.Node(0).APIClient()
	require.NoError(t, client.Sys().RaftSnapshotRestoreWithContext(t.Context(), bytes.NewReader(snapshot), false))
	cluster.Eventually(t, limit, "the snapshot is restored", func(ctx context.Context) error {
		secret, err := client.Logical().ReadWithContext(ctx, gone)
		if err != nil {
			return err
		}
		if secret != nil {
			return errors.New("what was written after it is still there")
		}
		_, err = client.Logical().WriteWithContext(ctx, "cubbyhole/serves", map[string]any{"again": true})
		return err
	})
}

// saveData keeps what a stopped node has stored; the function brings it back.
func saveData(t *testing.T, n *cluster.Node) (bringBack func()) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.CopyFS(saved, os.DirFS(n.DataDir())))
	return func() {
		require.NoError(t, os.RemoveAll(n.DataDir()))
		require.NoError(t, os.CopyFS(n.DataDir(), os.DirFS(saved)))
	}
}

func requireWentBack(t *testing.T, primary *cluster.Cluster) {
	t.Helper()
	require.NoError(t, primary.Node(0).WaitDR(t.Context(), "says that its storage went back",
		func(s *cluster.DRStatus) error {
			if !strings.Contains(s.LastError, "gone back in time") {
				return errors.New("it says something else")
			}
			return nil
		}))
}

// The secondary has what the restored primary has not, and the numbers of the primary
// go on above those: it must not be taken for one that is only behind.
func TestSnapshotRestoredOnTheRunningPrimary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	putNumbered(t, primary, "kept")
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	snapshot := snapshotOf(t, primary)
	putNumbered(t, primary, "lost")
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	restore(t, primary, snapshot, "cubbyhole/lost-0")
	putNumbered(t, primary, "after")
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	requireWentBack(t, primary)

	// The new history goes on as any: a restart of the primary costs no other epoch.
	require.NoError(t, primary.Restart(ctx, false))
	putNumbered(t, primary, "later")
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	status, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Empty(t, status.LastError)
}

// Nothing of a primary that was stopped knows that its data directory was replaced; the
// secondary proves it.
func TestOldDataDirectoryOfThePrimary(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		t.Run(fmt.Sprintf("graceful %t", graceful), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			primary, secondary := pair(t, cluster.Options{})
			putNumbered(t, primary, "kept")
			require.NoError(t, secondary.WaitEqual(ctx, primary))
			require.NoError(t, primary.Stop(ctx, graceful))
			bringBack := saveData(t, primary.Node(0))
			require.NoError(t, primary.Restart(ctx, graceful))
			putNumbered(t, primary, "lost")
			require.NoError(t, secondary.WaitEqual(ctx, primary))

			require.NoError(t, primary.Stop(ctx, graceful))
			bringBack()
			require.NoError(t, secondary.Stop(ctx, true))
			require.NoError(t, primary.Restart(ctx, graceful))
			putNumbered(t, primary, "after")
			putNumbered(t, primary, "and after")
			require.NoError(t, secondary.Restart(ctx, true))
			require.NoError(t, secondary.WaitEqual(ctx, primary))
			require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
			requireWentBack(t, primary)
		})
	}
}

// A secondary whose storage goes back goes on from where that storage is.
func TestOldDataDirectoryOfTheSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	putNumbered(t, primary, "kept")
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Stop(ctx, true))
	bringBack := saveData(t, secondary.Node(0))
	require.NoError(t, secondary.Restart(ctx, true))
	putNumbered(t, primary, "more")
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, secondary.Stop(ctx, true))
	bringBack()
	require.NoError(t, secondary.Restart(ctx, true))
	requireSecondary(t, secondary)
	putNumbered(t, primary, "after")
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	status, err := primary.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Empty(t, status.LastError, "the primary's history is what it was")
}

// A performance secondary can be asked to restore a snapshot while it runs.
func TestSnapshotRestoredOnTheRunningSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := performancePair(t)
	client, local := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	put := func(name string) {
		for i := range 20 {
			write(t, client, fmt.Sprintf("sys/policy/%s-%d", name, i),
				map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
		}
	}
	equal := func() {
		require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
		require.NoError(t, secondary.Node(0).WaitPerformance(ctx, "equals the primary",
			func(s *cluster.PerformanceStatus) error {
				p, err := primary.Node(0).PerformanceStatus(ctx)
				if err != nil {
					return err
				}
				if p.MerkleRoot == "" || p.MerkleRoot != s.MerkleRoot {
					return fmt.Errorf("primary has %q", p.MerkleRoot)
				}
				return nil
			}))
	}
	put("kept")
	equal()
	write(t, local, "cubbyhole/kept", map[string]any{"n": 1})
	snapshot := snapshotOf(t, secondary)
	put("more")
	equal()
	write(t, local, "cubbyhole/lost", map[string]any{"n": 1})

	restore(t, secondary, snapshot, "cubbyhole/lost")
	put("after")
	equal()
	policy, err := local.Sys().GetPolicyWithContext(ctx, "more-3")
	require.NoError(t, err)
	require.NotEmpty(t, policy)
	secret, err := local.Logical().ReadWithContext(ctx, "cubbyhole/kept")
	require.NoError(t, err)
	require.NotNil(t, secret)
}

// A client that holds the index of a write that a restored snapshot has not must be told:
// numbers go on above those of the lost history. It is told once.
func TestIndexOfALostHistoryIsRefused(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	snapshot := snapshotOf(t, primary)
	var clients []*api.Client
	for _, c := range []*cluster.Cluster{primary, secondary} {
		client := c.Node(0).APIClient()
		client.SetMaxRetries(0)
		client.SetReadYourWrites(true)
		write(t, client, "kv/lost", map[string]any{"v": "lost"})
		clients = append(clients, client)
	}

	restore(t, primary, snapshot, "kv/lost")
	write(t, primary.Node(0).APIClient(), "kv/after", map[string]any{"v": "after"})
	cluster.Eventually(t, limit, "the secondary follows the new history", func(ctx context.Context) error {
		secret, err := secondary.Node(0).APIClient().Logical().ReadWithContext(ctx, "kv/after")
		if err == nil && secret == nil {
			err = errors.New("it has not arrived")
		}
		return err
	})
	// It has arrived while the rest is still being compared, perhaps.
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	for i, client := range clients {
		_, err := client.Logical().ReadWithContext(ctx, "kv/lost")
		var refused *api.ResponseError
		require.ErrorAs(t, err, &refused, "client %d", i)
		require.Equal(t, http.StatusPreconditionFailed, refused.StatusCode)
		secret, err := client.Logical().ReadWithContext(ctx, "kv/after")
		require.NoError(t, err, "client %d", i)
		require.Equal(t, "after", secret.Data["v"])
	}
}
