// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

const (
	catalogEntry = "sys/plugins/catalog/replication/replication-dr"
	reloadPlugin = "sys/plugins/reload/replication/replication-dr"
)

// A killed plugin, on either side, is restarted and resumes; Vault serves all
// the while.
func TestKilledPluginResumes(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	for name, c := range map[string]*cluster.Cluster{"primary": primary, "secondary": secondary} {
		pid, err := pluginProcess(c)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		_, err = primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/"+name,
			map[string]any{"written": "while it was down"})
		require.NoError(t, err)
		cluster.Eventually(t, limit, "the plugin of the "+name+" runs again", func(context.Context) error {
			again, err := pluginProcess(c)
			if err == nil && again == pid {
				err = errors.New("the killed process is still there")
			}
			return err
		})
		require.NoError(t, secondary.WaitEqual(ctx, primary))
		require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	}
}

// A server that is killed takes its plugins with it.
func TestPluginEndsWithItsServer(t *testing.T) {
	parallel(t)
	primary, _ := pair(t, cluster.Options{})
	pid, err := pluginProcess(primary)
	require.NoError(t, err)
	require.NoError(t, primary.Stop(t.Context(), false))
	cluster.Eventually(t, limit, "the plugin has ended", func(context.Context) error {
		if err := syscall.Kill(pid, 0); err == nil {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

// A binary that is not what was registered, or is no plugin at all, is refused or
// reported, and Vault and the secondary's data are untouched by it.
func TestBadPluginBinaries(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	dir := pluginFolder(t)
	primary, secondary := pair(t, cluster.Options{Env: []string{"VAULT_REPLICATION_PLUGIN_DIR=" + dir}})
	root := primary.Node(0).APIClient()
	garbage := script(t, dir, "garbage", "#!/bin/sh\necho this is no handshake\nexec sleep 3600\n")
	ends := script(t, dir, "ends", "#!/bin/sh\nexit 3\n")

	for name, entry := range map[string]map[string]any{
		"missing file":   {"command": "nowhere", "sha256": garbage},
		"wrong checksum": {"command": "garbage", "sha256": ends},
		"no checksum":    {"command": "garbage"},
		"not hex":        {"command": "garbage", "sha256": strings.Repeat("z", 64)},
		"path outside":   {"command": "../vault-replication", "sha256": garbage},
	} {
		_, err := root.Logical().Write(catalogEntry, entry)
		requireStatus(t, err, 400)
		secret, err := root.Logical().Read(catalogEntry)
		require.NoError(t, err)
		require.Equal(t, true, secret.Data["builtin"], name)
	}

	for command, sum := range map[string]string{"garbage": garbage, "ends": ends} {
		_, err := root.Logical().Write(catalogEntry, map[string]any{"command": command, "sha256": sum})
		require.NoError(t, err)
		// Whether the reload itself reports the failure is its own matter: the
		// status has to.
		_, _ = root.Logical().Write(reloadPlugin, nil)
		require.NoError(t, primary.Node(0).WaitDR(ctx, "says that the plugin "+command+" does not run",
			func(s *cluster.DRStatus) error {
				if !strings.Contains(s.LastError, "replication-dr") {
					return fmt.Errorf("last_error is %q", s.LastError)
				}
				return nil
			}))
		_, err = root.Logical().Write("cubbyhole/"+command, map[string]any{"still": "served"})
		require.NoError(t, err)
	}

	_, err := root.Logical().Delete(catalogEntry)
	require.NoError(t, err)
	_, err = root.Logical().Write(reloadPlugin, nil)
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}

// A file that was changed behind the catalog is not started.
func TestReplacedPluginFileIsNotStarted(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	dir := pluginFolder(t)
	primary, secondary := pair(t, cluster.Options{Env: []string{"VAULT_REPLICATION_PLUGIN_DIR=" + dir}})
	right := filepath.Join(dir, "replication-dr")
	content, err := os.ReadFile(right)
	require.NoError(t, err)
	pid, err := pluginProcess(primary)
	require.NoError(t, err)
	require.NoError(t, os.Remove(right))
	script(t, dir, "replication-dr", "#!/bin/sh\ntouch \"$(dirname \"$0\")/started\"\n")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(t, primary.Node(0).WaitDR(ctx, "refuses the file", func(s *cluster.DRStatus) error {
		if !strings.Contains(s.LastError, "sha256") {
			return fmt.Errorf("last_error is %q", s.LastError)
		}
		return nil
	}))
	require.NoFileExists(t, filepath.Join(dir, "started"))

	require.NoError(t, os.Remove(right))
	require.NoError(t, os.WriteFile(right, content, 0o700))
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}

// pluginProcess is the DR plugin's process below a server.
func pluginProcess(c *cluster.Cluster) (int, error) { return pluginOf(c.Node(0), "replication-dr") }

// pluginFolder is a copy of the built plugins that a test may change.
func pluginFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"replication-dr", "replication-performance"} {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(product(t)), "plugins", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o700))
	}
	return dir
}

// script writes an executable and returns its checksum.
func script(t *testing.T, dir, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700))
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
