// SPDX-License-Identifier: MPL-2.0

//go:build unix

package wholefile_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/wholefile"
)

const (
	record = "core/replication/dr/state/primary/secondary/d2VzdA"
	// cutIn and cutHow say where a process of this test writes and how that ends.
	cutIn  = "WHOLEFILE_CUT_IN"
	cutHow = "WHOLEFILE_CUT_HOW"
)

func vaults(t *testing.T, dir string) *file.FileBackend {
	t.Helper()
	b, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	return b.(*file.FileBackend)
}

func over(t *testing.T, dir string) *wholefile.Storage {
	t.Helper()
	s, err := wholefile.Over(vaults(t, dir), dir, true)
	require.NoError(t, err)
	return s
}

// TestMain is a process that writes a row again and again, until it is killed or its disk is full.
func TestMain(m *testing.M) {
	dir := os.Getenv(cutIn)
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	if err != nil {
		os.Exit(3)
	}
	store, err := wholefile.Over(b.(*file.FileBackend), dir, true)
	if err != nil {
		os.Exit(3)
	}
	e := &physical.Entry{Key: record, Value: bytes.Repeat([]byte("new"), 1<<20)}
	full := os.Getenv(cutHow) == "full"
	if full && syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: 1000}) != nil {
		os.Exit(3)
	}
	for {
		if store.Put(context.Background(), e) != nil {
			os.Exit(4)
		}
	}
}

// files are the names of all files in the directory of a storage.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// rows are what a listing shows, and what is read of it.
func rows(t *testing.T, s physical.Backend, dir string) map[string]string {
	t.Helper()
	names, err := s.List(t.Context(), dir)
	require.NoError(t, err)
	found := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			for k, v := range rows(t, s, dir+name) {
				found[k] = v
			}
			continue
		}
		e, err := s.Get(t.Context(), dir+name)
		require.NoError(t, err, dir+name)
		require.NotNil(t, e, dir+name)
		found[dir+name] = string(e.Value)
	}
	return found
}

// A kill or a full disk cuts a write. A listing then shows the rows alone, and after the next start no other file is
// left.
func TestCutWriteLeavesNoRow(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "full"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			want := map[string]string{"core/other": "a", "replication/journal/head": "h", record + "7": "a row of its own",
				record: "old"}
			for k, v := range want {
				require.NoError(t, over(t, dir).Put(t.Context(), &physical.Entry{Key: k, Value: []byte(v)}))
			}
			cut := exec.CommandContext(t.Context(), os.Args[0])
			cut.Env = append(os.Environ(), cutIn+"="+dir, cutHow+"="+how)
			require.NoError(t, cut.Start())
			if how == "killed" {
				for len(files(t, dir)) == len(want) {
					runtime.Gosched() // until it is inside a write
				}
				require.NoError(t, cut.Process.Kill())
			}
			var exit *exec.ExitError
			require.ErrorAs(t, cut.Wait(), &exit)
			require.Equal(t, how == "full", exit.ExitCode() == 4, "it ended with %v", exit)

			for _, s := range []physical.Backend{vaults(t, dir), over(t, dir)} {
				found := rows(t, s, "")
				require.Contains(t, []string{"old", strings.Repeat("new", 1<<20)}, found[record])
				want[record] = found[record]
				require.Equal(t, want, found)
			}
			require.Len(t, files(t, dir), len(want))
		})
	}
}

// What is written aside is in no directory of rows.
func TestListingLeavesUnfinishedOut(t *testing.T) {
	t.Parallel()
	s := over(t, t.TempDir())
	require.NoError(t, s.Put(t.Context(), &physical.Entry{Key: "core/a", Value: []byte("v")}))
	for _, prefix := range []string{"", "/"} {
		names, err := s.List(t.Context(), prefix)
		require.NoError(t, err)
		require.Equal(t, []string{"core/"}, names)
	}
}

// A file is what Vault itself makes of a row.
func TestFilesAreVaults(t *testing.T) {
	t.Parallel()
	ours, theirs := t.TempDir(), t.TempDir()
	rows := map[string][]byte{"a": []byte("v"), "b/c//d": {}, "e": nil, "f": {0, 255, '<', '&'}, "g/": {1}}
	for key, value := range rows {
		e := &physical.Entry{Key: key, Value: value}
		require.NoError(t, over(t, ours).Put(t.Context(), e))
		require.NoError(t, vaults(t, theirs).Put(t.Context(), e))
		name := filepath.Join(filepath.Dir(filepath.Join("/", key)), "_"+filepath.Base(key))
		want, err := os.ReadFile(filepath.Join(theirs, name))
		require.NoError(t, err)
		have, err := os.ReadFile(filepath.Join(ours, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have))
		is, err := os.Stat(filepath.Join(ours, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), is.Mode())
	}
}

// A folder of the storage may be on another disk: rows are written there as Vault writes them.
func TestFolderOnAnotherFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, err := os.MkdirTemp("/dev/shm", "wholefile-")
	if err != nil {
		t.Skip("there is no second file system")
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	require.NoError(t, os.Mkdir(filepath.Join(dir, "probe"), 0o700))
	if !errors.Is(os.Rename(filepath.Join(dir, "probe"), filepath.Join(other, "probe")), syscall.EXDEV) {
		t.Skip("the two directories are on one file system")
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "probe")))
	require.NoError(t, os.Symlink(other, filepath.Join(dir, "logical")))
	s := over(t, dir)
	require.NoError(t, s.Put(t.Context(), &physical.Entry{Key: "logical/a/b", Value: []byte("v")}))
	require.Equal(t, map[string]string{"logical/a/b": "v"}, rows(t, s, ""))
	require.Empty(t, files(t, filepath.Join(dir, ".unfinished")))
}

// While another node writes to the storage, nothing that it has under way is removed.
func TestFilesOfAnotherNodeStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	part := filepath.Join(dir, ".unfinished", "1")
	require.NoError(t, os.MkdirAll(filepath.Dir(part), 0o700))
	require.NoError(t, os.WriteFile(part, []byte("{"), 0o600))
	_, err := wholefile.Over(vaults(t, dir), dir, false)
	require.NoError(t, err)
	require.FileExists(t, part)
	over(t, dir)
	require.NoFileExists(t, part)
}
