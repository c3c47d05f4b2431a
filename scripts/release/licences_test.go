// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// source writes the files of a module.
func source(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(name), 0o600))
	}
	return dir
}

// copied are the files below a folder.
func copied(t *testing.T, dir string) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(name))
		}
		return err
	}))
	return files
}

func TestLicencesOfModulesAreCopied(t *testing.T) {
	t.Parallel()
	const stated = "github.com/aliyun/aliyun-oss-go-sdk"
	require.Contains(t, withoutFile, stated)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(source(t, "LICENSE"), link))
	to := t.TempDir()
	require.NoError(t, copyAll([]module{
		{"example.com/one", "v1.0.0", source(t, "LICENSE", "NOTICE.txt", "license.go", "license.sh", "licenses/MIT",
			"vendored/COPYING", "testdata/LICENSE", ".git/LICENSE")},
		{"example.com/linked", "v2.0.0", link},
		{"go", "go1.26.0", source(t, "LICENSE", "PATENTS", "src/cmd/vendor/LICENSE")},
		{stated, "v0.0.1", source(t, "README.md", "oss.go")},
	}, to))
	require.ElementsMatch(t, []string{
		"README",
		"example.com/one@v1.0.0/LICENSE", "example.com/one@v1.0.0/NOTICE.txt", "example.com/one@v1.0.0/vendored/COPYING",
		"example.com/linked@v2.0.0/LICENSE",
		"go@go1.26.0/LICENSE", "go@go1.26.0/PATENTS",
		stated + "@v0.0.1/README.md",
	}, copied(t, to))
	text, err := os.ReadFile(filepath.Join(to, "README"))
	require.NoError(t, err)
	require.Contains(t, string(text), stated+"@v0.0.1 has no licence file: its README names the Apache License 2.0.")
}

// A module without a licence ends the release: somebody has to look what it says.
func TestModuleWithoutLicenceIsNotPassedOn(t *testing.T) {
	t.Parallel()
	err := copyAll([]module{{"example.com/none", "v1.0.0", source(t, "README.md")}}, t.TempDir())
	require.ErrorContains(t, err, "no licence was found in example.com/none@v1.0.0")
	require.ErrorContains(t, copyAll([]module{{"example.com/gone", "v1.0.0", ""}}, t.TempDir()),
		"the source of example.com/gone@v1.0.0 is not here")
}

func TestArchiveThatCannotBeWrittenLeavesNothing(t *testing.T) {
	t.Parallel()
	to := t.TempDir()
	file := filepath.Join(to, "x.tar.gz")
	require.Error(t, pack(filepath.Join(to, "missing"), "x", "2026-11-30T00:00:00Z", file))
	require.Error(t, pack(source(t, "a"), "x", "yesterday", file))
	require.Empty(t, copied(t, to))
	require.NoError(t, pack(source(t, "a"), "x", "2026-11-30T00:00:00Z", file))
	require.Equal(t, []string{"x.tar.gz"}, copied(t, to))
}
