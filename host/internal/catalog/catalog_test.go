// SPDX-License-Identifier: MPL-2.0

package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/catalog"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestBuiltinsAreThereByDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sum := install(t, dir, "replication-dr") // and no performance plugin
	c, err := catalog.New(catalog.Config{BuiltinDir: dir, Store: newMemory(), BuiltinVersion: "0.1"})
	require.NoError(t, err)
	names, err := c.List(t.Context())
	require.NoError(t, err)
	var entries []*catalog.Entry
	for _, name := range names {
		e, err := c.Get(t.Context(), name)
		require.NoError(t, err)
		entries = append(entries, e)
	}
	require.Equal(t, []*catalog.Entry{
		{Name: "replication-dr", Mode: replication.DR, Command: "replication-dr", SHA256: sum, Version: "0.1", Builtin: true},
		{Name: "replication-performance", Mode: replication.Performance, Command: "replication-performance", Version: "0.1",
			Builtin: true},
	}, entries)
	_, err = c.Get(t.Context(), "other")
	require.Equal(t, replication.NotFound, replication.KindOf(err))
}

// An operator finds a damaged entry by its name, and can do away with it.
func TestOneDamagedEntryIsListedWithTheOthers(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), newMemory()
	require.NoError(t, store.Put(ctx, "mine", []byte("{")))
	c, err := catalog.New(catalog.Config{Dir: t.TempDir(), Store: store})
	require.NoError(t, err)
	names, err := c.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"mine", "replication-dr", "replication-performance"}, names)
	_, err = c.Get(ctx, "mine")
	require.ErrorContains(t, err, "damaged")
	require.NoError(t, c.Delete(ctx, "mine"))
	names, err = c.List(ctx)
	require.NoError(t, err)
	require.NotContains(t, names, "mine")
}

func TestBuiltinSumIsTakenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sum := install(t, dir, "replication-dr")
	c, err := catalog.New(catalog.Config{Dir: dir, Store: newMemory()})
	require.NoError(t, err)
	_, err = c.Get(t.Context(), "replication-dr")
	require.NoError(t, err)

	path := filepath.Join(dir, "replication-dr")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700))
	e, err := c.Get(t.Context(), "replication-dr")
	require.NoError(t, err)
	require.Equal(t, sum, e.SHA256, "a file that was changed later is not trusted")
	s := supervise(t, c, nil)
	s.Run(t.Context())
	h := eventually(t, s, "an error", func(h catalog.Health) bool { return h.LastError != "" })
	require.Contains(t, h.LastError, "sha256")
}

func TestOverrideAndDelete(t *testing.T) {
	t.Parallel()
	c, _ := plugins(t, "probe")
	e, err := c.Get(t.Context(), "replication-dr")
	require.NoError(t, err)
	want := entryOf(t, "probe")
	require.Equal(t, &want, e)
	require.NoError(t, c.Delete(t.Context(), "replication-dr"))
	require.NoError(t, c.Delete(t.Context(), "replication-dr"), "deleting twice is no error")
	e, err = c.Get(t.Context(), "replication-dr")
	require.NoError(t, err)
	require.True(t, e.Builtin)

	other := entryOf(t, "probe")
	other.Name, other.SHA256, other.Builtin = "mine", strings.ToUpper(other.SHA256), true
	require.NoError(t, c.Put(t.Context(), other))
	names, err := c.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"mine", "replication-dr", "replication-performance"}, names)
	e, err = c.Get(t.Context(), "mine")
	require.NoError(t, err)
	require.False(t, e.Builtin)
	require.Equal(t, ownSum(t), e.SHA256)
}

// Nothing runs from a directory in which every account can replace it.
func TestNothingRunsFromADirectoryThatAllMayWrite(t *testing.T) {
	t.Parallel()
	c, dir := plugins(t, "probe")
	entry := entryOf(t, "probe")
	require.NoError(t, os.Chmod(dir, 0o777))
	err := c.Put(t.Context(), entry)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	require.ErrorContains(t, err, "every account may write in the plugin directory")
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, c.Put(t.Context(), entry))
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	c, dir := plugins(t, "probe")
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("x"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), []byte("x"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte("x"), 0o700))
	require.NoError(t, os.Chmod(open, 0o702))
	for name, tc := range map[string]struct {
		change func(*catalog.Entry)
		says   string
	}{
		"empty name":             {func(e *catalog.Entry) { e.Name = "" }, "name"},
		"name with a path":       {func(e *catalog.Entry) { e.Name = "../x" }, "name"},
		"name too long":          {func(e *catalog.Entry) { e.Name = strings.Repeat("a", 129) }, "name"},
		"unknown type":           {func(e *catalog.Entry) { e.Mode = "both" }, "type"},
		"type of the other":      {func(e *catalog.Entry) { e.Mode = replication.Performance }, "dr plugin"},
		"no command":             {func(e *catalog.Entry) { e.Command = "" }, "command"},
		"command with a path":    {func(e *catalog.Entry) { e.Command = "a/b" }, "without a path"},
		"command above":          {func(e *catalog.Entry) { e.Command = ".." }, "without a path"},
		"command missing":        {func(e *catalog.Entry) { e.Command = "absent" }, "does not exist"},
		"command that all write": {func(e *catalog.Entry) { e.Command = "open" }, "every account may write the command"},
		"command a link out":     {func(e *catalog.Entry) { e.Command = "link" }, "link out of"},
		"command a folder":       {func(e *catalog.Entry) { e.Command = "folder" }, "not a file"},
		"command not runnable":   {func(e *catalog.Entry) { e.Command = "text" }, "chmod +x"},
		"no sha256":              {func(e *catalog.Entry) { e.SHA256 = "" }, "64 hexadecimal"},
		"short sha256":           {func(e *catalog.Entry) { e.SHA256 = e.SHA256[1:] }, "64 hexadecimal"},
		"wrong sha256": {func(e *catalog.Entry) { e.SHA256 = strings.Repeat("0", 64) },
			"does not have the registered sha256"},
		"env without value":  {func(e *catalog.Entry) { e.Env = []string{"X"} }, "NAME=VALUE"},
		"env of go-plugin":   {func(e *catalog.Entry) { e.Env = []string{"PLUGIN_CLIENT_CERT=x"} }, "PLUGIN_CLIENT_CERT"},
		"NUL in an argument": {func(e *catalog.Entry) { e.Args = []string{"a\x00"} }, "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := entryOf(t, "probe")
			tc.change(&e)
			err := c.Put(t.Context(), e)
			require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%v", err)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}
