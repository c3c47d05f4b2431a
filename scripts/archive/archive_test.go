// SPDX-License-Identifier: MPL-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var at = time.Date(2026, 11, 30, 21, 44, 56, 7, time.FixedZone("", 3600))

// folder writes files in the order in which they are given. A name that ends with * can be run.
func folder(t *testing.T, files os.FileMode, folders os.FileMode, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name, isProgram := strings.CutSuffix(name, "*")
		mode := files
		if isProgram {
			mode |= files >> 2 & 0o111
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), folders))
		require.NoError(t, os.WriteFile(path, []byte(name), mode))
		require.NoError(t, os.Chmod(path, mode))
	}
	return dir
}

// Two folders with the same files make the same bytes, though they were written in another order, at another time and
// with another umask.
func TestSameFilesMakeTheSameBytes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long/", 30) + "name"
	one := folder(t, 0o644, 0o755, "server*", "plugins/a*", "README.md", "licences/b", long)
	other := folder(t, 0o600, 0o700, long, "licences/b", "README.md", "plugins/a*", "server*")
	require.NoError(t, os.Chtimes(filepath.Join(other, "server"), at, at))
	var first, second bytes.Buffer
	require.NoError(t, Write(&first, one, "product_1", at, gzip.BestCompression))
	require.NoError(t, Write(&second, other, "product_1", at.UTC(), gzip.BestCompression))
	require.True(t, bytes.Equal(first.Bytes(), second.Bytes()))

	zipped, err := gzip.NewReader(&first)
	require.NoError(t, err)
	require.True(t, zipped.ModTime.IsZero())
	packed := tar.NewReader(zipped)
	modes := map[string]int64{}
	for {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		modes[header.Name] = header.Mode
		require.Zero(t, header.Uid)
		require.Zero(t, header.Gid)
		require.Empty(t, header.Uname)
		require.True(t, header.ModTime.Equal(at.Truncate(time.Second)), header.Name)
		content, err := io.ReadAll(packed)
		require.NoError(t, err)
		if header.Typeflag == tar.TypeReg {
			require.Equal(t, strings.TrimPrefix(header.Name, "product_1/"), string(content))
		}
	}
	require.EqualValues(t, 0o755, modes["product_1/server"])
	require.EqualValues(t, 0o755, modes["product_1/plugins/"])
	require.EqualValues(t, 0o644, modes["product_1/README.md"])
	require.Contains(t, modes, "product_1/"+long)
}

// A link would lead to something else on another machine.
func TestLinksAreNotPacked(t *testing.T) {
	t.Parallel()
	dir := folder(t, 0o644, 0o755, "a")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "b")))
	require.ErrorContains(t, Write(io.Discard, dir, "x", at, gzip.NoCompression), "b is neither a file nor a folder")
}
