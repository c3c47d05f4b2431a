// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// files returns the files in which file storage has the values of keys below a directory,
// in order.
func files(t *testing.T, n *cluster.Node, dir string) []string {
	t.Helper()
	var list []string
	root := filepath.Join(n.DataDir(), dir)
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "_") {
			list = append(list, path)
		}
		return err
	}))
	slices.Sort(list)
	return list
}

// harm deletes a key of the secondary, gives another one a third one's value, and
// makes one that the primary has not, all below the server.
func harm(t *testing.T, n *cluster.Node, dir string, from int) {
	t.Helper()
	list := files(t, n, dir)
	require.Greater(t, len(list), from+3)
	require.NoError(t, os.Remove(list[from]))
	other, err := os.ReadFile(list[from+2])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(list[from+1], other, 0o600))
	require.NoError(t, os.WriteFile(list[from+2]+"-more", other, 0o600))
}

// requireHealed waits until the secondary has noticed and has what the primary has.
func requireHealed(t *testing.T, primary, secondary *cluster.Cluster, offset int64) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, secondary.Node(0).WaitLog(ctx, offset, "compared=true"))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "says why", func(s *cluster.DRStatus) error {
		if s.State != "stream-wals" || !strings.Contains(s.LastError, "compared and mended: the content was not that of "+
			"the primary") {
			return fmt.Errorf("%s, last error %q", s.State, s.LastError)
		}
		return nil
	}))
	log, err := secondary.Node(0).LogFrom(offset)
	require.NoError(t, err)
	require.NotContains(t, string(log), "copying the primary's content", "only what differs is fetched")
}

// What is changed in the storage of a secondary heals by itself: after a restart, and
// while it runs once the index was computed anew.
func TestSecondaryHeals(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{Storage: cluster.File})
	client := primary.Node(0).APIClient()
	for i := range 60 {
		_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("cubbyhole/%03d", i), map[string]any{"n": i})
		require.NoError(t, err)
	}
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, secondary.Stop(ctx, true))
	harm(t, secondary.Node(0), "logical", 3)
	offset, err := secondary.Node(0).LogSize()
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).Start(ctx))
	require.NoError(t, secondary.Unseal(ctx))
	requireHealed(t, primary, secondary, offset)

	// The next one would not be believed for a minute: a restart forgets the first.
	require.NoError(t, secondary.Restart(ctx, true))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	offset, err = secondary.Node(0).LogSize()
	require.NoError(t, err)
	harm(t, secondary.Node(0), "logical", 20)
	token, err := secondary.OperationToken()
	require.NoError(t, err)
	report, err := secondary.Node(0).Anonymous().Logical().WriteWithContext(ctx,
		"sys/replication/dr/secondary/merkle-check", map[string]any{"dr_operation_token": token})
	require.NoError(t, err)
	require.Equal(t, true, report.Data["merkle_corruption_report"].(map[string]any)["corrupted_root"])
	requireHealed(t, primary, secondary, offset)
	status, err := secondary.Node(0).Anonymous().Logical().ReadWithContext(ctx, cluster.PathStatus)
	require.NoError(t, err)
	require.Equal(t, true, status.Data["corrupted_merkle_tree"])

	_, err = secondary.Node(0).Anonymous().Logical().WriteWithContext(ctx, "sys/replication/dr/secondary/reindex",
		map[string]any{"dr_operation_token": token, "force": true})
	require.NoError(t, err)
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	_, err = secondary.Node(0).Anonymous().Logical().WriteWithContext(ctx, "sys/replication/dr/secondary/reindex",
		map[string]any{"dr_operation_token": "x"})
	require.Error(t, err)
	requirePromotes(t, ctx, primary, secondary)
}

// requirePromotes shows that what was mended can be read.
func requirePromotes(t *testing.T, ctx context.Context, primary, secondary *cluster.Cluster) {
	t.Helper()
	root := primary.Node(0).APIClient().Token()
	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, secondary.Promote(ctx))
	client := secondary.Node(0).APIClient()
	client.SetToken(root)
	for i := range 60 {
		secret, err := client.Logical().ReadWithContext(ctx, fmt.Sprintf("cubbyhole/%03d", i))
		require.NoError(t, err)
		require.NotNil(t, secret, "cubbyhole/%03d", i)
		require.Equal(t, fmt.Sprint(i), fmt.Sprint(secret.Data["n"]))
	}
}

// So does a performance secondary, also one whose index was stored before its storage
// was changed, and serves what is right.
func TestPerformanceSecondaryHeals(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Storage: cluster.File}
	primary := cluster.New(t, opts)
	opts.Name = "secondary"
	secondary := cluster.New(t, opts)
	client := primary.Node(0).APIClient()
	require.NoError(t, client.Sys().MountWithContext(ctx, "kv", &api.MountInput{Type: "kv"}))
	for i := range 60 {
		write(t, client, fmt.Sprintf("kv/%03d", i), map[string]any{"n": i})
	}
	mounts, err := client.Sys().ListMountsWithContext(ctx)
	require.NoError(t, err)
	view := filepath.Join("logical", mounts["kv/"].UUID)
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	healed := func(offset int64) {
		t.Helper()
		waiting, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		require.NoError(t, secondary.Node(0).WaitLog(waiting, offset, "compared=true"))
		require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
		for i := range 60 {
			secret, err := secondary.Node(0).APIClient().Logical().ReadWithContext(ctx, fmt.Sprintf("kv/%03d", i))
			require.NoError(t, err)
			require.NotNil(t, secret, "kv/%03d", i)
			require.Equal(t, fmt.Sprint(i), fmt.Sprint(secret.Data["n"]))
		}
		list, err := secondary.Node(0).APIClient().Logical().ListWithContext(ctx, "kv")
		require.NoError(t, err)
		require.Len(t, list.Data["keys"], 60)
		log, err := secondary.Node(0).LogFrom(offset)
		require.NoError(t, err)
		require.NotContains(t, string(log), "copying the primary's content", "only what differs is fetched")
	}

	require.NoError(t, secondary.Stop(ctx, true))
	harm(t, secondary.Node(0), view, 3)
	offset, err := secondary.Node(0).LogSize()
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).Start(ctx))
	require.NoError(t, secondary.Unseal(ctx))
	healed(offset)

	require.NoError(t, secondary.Restart(ctx, true))
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	offset, err = secondary.Node(0).LogSize()
	require.NoError(t, err)
	harm(t, secondary.Node(0), view, 20)
	cluster.Eventually(t, limit, "it is asked to look", func(ctx context.Context) error {
		_, err := secondary.Node(0).APIClient().Logical().WriteWithContext(ctx, "sys/replication/reindex", nil)
		return err
	})
	healed(offset)

	// With a filter it has another fingerprint than the primary, and looks by itself.
	require.NoError(t, client.Sys().MountWithContext(ctx, "hidden", &api.MountInput{Type: "kv"}))
	write(t, client, "hidden/a", map[string]any{"n": 1})
	write(t, client, cluster.PathPerformance+"primary/paths-filter/west",
		map[string]any{"mode": "deny", "paths": "hidden/"})
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	cluster.Eventually(t, limit, "the mount is hidden", func(ctx context.Context) error {
		mounts, err := secondary.Node(0).APIClient().Sys().ListMountsWithContext(ctx)
		if err == nil && mounts["hidden/"] != nil {
			err = errors.New("not yet")
		}
		return err
	})
	offset, err = secondary.Node(0).LogSize()
	require.NoError(t, err)
	harm(t, secondary.Node(0), view, 30)
	cluster.Eventually(t, limit, "it is asked to look", func(ctx context.Context) error {
		_, err := secondary.Node(0).APIClient().Logical().WriteWithContext(ctx, "sys/replication/merkle-check", nil)
		return err
	})
	healed(offset)
}
