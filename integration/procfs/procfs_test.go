// SPDX-License-Identifier: MPL-2.0

package procfs_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/procfs"
)

func TestTreeHasChildren(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	tree, err := procfs.Tree(os.Getpid())
	require.NoError(t, err)
	require.Contains(t, tree, cmd.Process.Pid)
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
}

func TestOwnFiguresArePlausible(t *testing.T) {
	t.Parallel()
	rss, err := procfs.TreeRSS(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, rss, uint64(1<<20))
	_, err = procfs.TreeCPU(os.Getpid())
	require.NoError(t, err)
	_, err = procfs.TreeRSS(1 << 30)
	require.ErrorIs(t, err, os.ErrNotExist)
}
