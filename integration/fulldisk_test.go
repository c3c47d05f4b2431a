// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/smalldisk"
)

// diskSize is the size of a secondary's storage: more than it needs at first.
const diskSize = 160 << 20

// The disk of a secondary fills while the primary is written to. The primary does not
// mind; the secondary says what it lacks, lives, and goes on from its position when it has
// space again, also after it was killed and started without any.
func TestSecondaryWhoseDiskIsFull(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.File, cluster.Raft} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			fillDisk(t, storage, storage == cluster.Raft)
		})
	}
}

func fillDisk(t *testing.T, storage cluster.Storage, restart bool) {
	ctx := t.Context()
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t), Storage: storage}
	primary := cluster.New(t, opts)
	// Not t.TempDir: the disk has to be taken away after the server.
	dir, err := os.MkdirTemp("", "disk-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	disk := smalldisk.Mount(t, filepath.Join(dir, "disk"), diskSize)
	// What fills the disk is to lie beside the storage, not in it.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "disk", "data"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "secondary-0"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(dir, "disk", "data"), filepath.Join(dir, "secondary-0", "data")))
	opts.Name, opts.Dir = "secondary", dir
	secondary := cluster.New(t, opts)
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	client, written := primary.Node(0).APIClient(), 0
	more := func() {
		for range 20 {
			_, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("cubbyhole/%05d", written),
				map[string]any{"v": strings.Repeat("x", 8<<10)})
			require.NoError(t, err, "the primary is not to mind")
			written++
		}
	}
	more()
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	before, err := secondary.Node(0).DRStatus(ctx)
	require.NoError(t, err)

	require.NoError(t, disk.Fill())
	n := secondary.Node(0)
	require.NoError(t, n.WaitDR(ctx, "says that its disk is full", func(s *cluster.DRStatus) error {
		more()
		if !strings.HasPrefix(s.LastError, "the disk of this cluster is full") ||
			!strings.Contains(s.LastError, "make room") {
			return errors.New("not yet")
		}
		t.Logf("last_error: %s", s.LastError)
		return nil
	}))
	for range 10 {
		more()
	}
	require.False(t, n.Ended())
	if restart {
		// Who starts it before there is room does no harm.
		require.NoError(t, secondary.Stop(ctx, false))
		_ = n.Start(ctx)
		require.NoError(t, disk.Free())
		require.NoError(t, secondary.Restart(ctx, false))
	} else {
		require.NoError(t, disk.Free())
	}
	require.NoError(t, n.WaitDR(ctx, "goes on from its position", func(s *cluster.DRStatus) error {
		if s.State != "stream-wals" || s.LastRemoteWAL <= before.LastRemoteWAL {
			return errors.New("not yet")
		}
		return nil
	}))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	c := &moving{primary: primary, secondary: secondary}
	require.Equal(t, 1, c.copies(t), "the first copy is the only one")
}
