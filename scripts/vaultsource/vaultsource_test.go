// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each edit has its place in the version that go.mod names, and only that one.
func TestEditsMatchTheModule(t *testing.T) {
	t.Parallel()
	found, err := download(t.Context())
	require.NoError(t, err)
	vault := source{found.Dir, edits, added}
	names, err := vault.files()
	require.NoError(t, err)
	for _, e := range edits {
		require.Contains(t, names, e.File)
		require.NotEmpty(t, e.Why)
		r, err := vault.open(e.File)
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
}

// vault is a module of two files with one edit and one file of ours.
func vault(t *testing.T) source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module vault\n", "in/a.go": "package in\n\nvar old = 1\n"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return source{
		dir, []edit{{File: "in/a.go", Old: "old", New: "changed", Why: "it has to"}},
		map[string]string{"in/b.go": "package in\n"},
	}
}

func TestCopyHasTheEditsAndIsKept(t *testing.T) {
	t.Parallel()
	s, dir := vault(t), filepath.Join(t.TempDir(), "cache", "copy")
	made, err := s.copyTo(dir)
	require.NoError(t, err)
	require.True(t, made)
	for name, want := range map[string]string{
		"go.mod": "module vault\n", "in/a.go": "package in\n\nvar changed = 1\n", "in/b.go": "package in\n",
	} {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
	made, err = s.copyTo(dir)
	require.NoError(t, err)
	require.False(t, made, "one that is there is used")
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left")
}

// A copy with another line, or with a file more or less, is not what the server is to be built from.
func TestChangedCopyIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(dir string) error{
		"another line": func(dir string) error {
			if err := os.Chmod(filepath.Join(dir, "go.mod"), 0o644); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module other\n"), 0o644)
		},
		"one more": func(dir string) error { return os.WriteFile(filepath.Join(dir, "in", "c.go"), nil, 0o644) },
		"one less": func(dir string) error { return os.Remove(filepath.Join(dir, "in", "b.go")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := vault(t), filepath.Join(t.TempDir(), "copy")
			_, err := s.copyTo(dir)
			require.NoError(t, err)
			require.NoError(t, change(dir))
			_, err = s.copyTo(dir)
			require.ErrorContains(t, err, "was changed after it was made")
		})
	}
}

func TestNoCopyWithoutAllEdits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*source)
		says   string
	}{
		"a file that is gone":    {func(s *source) { s.edits[0].File = "in/gone.go" }, "there is no file in/gone.go"},
		"a line that is gone":    {func(s *source) { s.edits[0].Old = "older" }, `has "older" 0 times`},
		"a file that Vault has":  {func(s *source) { s.added["in/a.go"] = "" }, "in/a.go is in Vault itself"},
		"no module in the cache": {func(s *source) { s.dir += "/gone" }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cache := vault(t), t.TempDir()
			test.change(&s)
			_, err := s.copyTo(filepath.Join(cache, "copy"))
			require.ErrorContains(t, err, test.says)
			left, err := os.ReadDir(cache)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestWorkspaceNamesTheCopy(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module ours\n\ngo 1.25.3\n"), 0o644))
	path := filepath.Join(root, "go.work")
	read := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	require.NoError(t, writeWorkspace(root, "v1.2.3", "/copy of/vault"))
	require.Equal(t, header+"\n\ngo 1.25.3\n\nuse .\n\nreplace "+module+" v1.2.3 => \"/copy of/vault\"\n", read())
	require.NoError(t, writeWorkspace(root, "v1.2.4", "/copy"))
	require.Contains(t, read(), "vault v1.2.4 => /copy\n")

	// Somebody's own is not overwritten.
	require.NoError(t, os.WriteFile(path, []byte("go 1.25.3\n\nuse ./other\n"), 0o644))
	require.ErrorContains(t, writeWorkspace(root, "v1.2.4", "/copy"), "not one that vaultsource has written")
	require.Equal(t, "go 1.25.3\n\nuse ./other\n", read())
}
