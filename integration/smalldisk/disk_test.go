// SPDX-License-Identifier: MPL-2.0

package smalldisk_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/smalldisk"
)

func TestFillAndFree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d := smalldisk.Mount(t, dir, 4<<20)
	file := filepath.Join(dir, "x")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	require.NoError(t, d.Fill())
	require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "y"), make([]byte, 8192), 0o600), syscall.ENOSPC)
	require.NoError(t, d.Free())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "y"), make([]byte, 8192), 0o600))
	require.FileExists(t, file)
}
