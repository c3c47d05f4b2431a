// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// mostHeld is how much a host may hold, in bytes, while its plugin attacks it.
const mostHeld = 3 << 30

// Plugins that were taken over, on both sides at once, may delay replication. They get no
// secret, no key, no other role, no changed content and no process ended.
func TestHostilePluginsGetNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []replication.Mode{replication.DR, replication.Performance} {
		for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
			t.Run(string(mode)+" on "+string(storage), func(t *testing.T) {
				parallel(t)
				hostile(t, mode, storage)
			})
		}
	}
}

func hostile(t *testing.T, mode replication.Mode, storage cluster.Storage) {
	ctx := t.Context()
	dir := pluginFolder(t)
	sum := buildHostilePlugin(t, filepath.Join(dir, "hostileplugin"))
	primary, secondary := clusters(t,
		cluster.Options{Storage: storage, Env: []string{"VAULT_REPLICATION_PLUGIN_DIR=" + dir}})
	folders := map[*cluster.Cluster]string{}
	for _, c := range []*cluster.Cluster{primary, secondary} {
		folders[c] = t.TempDir()
		put(t, c, "sys/plugins/catalog/replication/replication-"+string(mode), map[string]any{
			"command": "hostileplugin", "sha256": sum, "env": []string{"HOSTILE_MODE=" + string(mode),
				"HOSTILE_DIR=" + folders[c]},
		})
	}
	put(t, primary, "sys/mounts/kv", map[string]any{"type": "kv"})
	put(t, primary, "kv/a", map[string]any{"v": "a secret"})
	require.NoError(t, os.WriteFile(filepath.Join(folders[secondary], "order-copy"), nil, 0o600))
	caughtUp := secondary.WaitEqual
	if mode == replication.DR {
		require.NoError(t, primary.EnableDRPrimary(ctx))
		require.NoError(t, secondary.JoinDR(ctx, primary))
	} else {
		require.NoError(t, primary.EnablePerformancePrimary(ctx))
		require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
		caughtUp = secondary.WaitCaughtUp
		put(t, secondary, "sys/mounts/own", map[string]any{"type": "kv", "local": true})
		put(t, secondary, "own/a", map[string]any{"v": "of the secondary"})
	}
	put(t, primary, "kv/before", map[string]any{"v": "before"})
	require.NoError(t, caughtUp(ctx, primary))
	require.FileExists(t, filepath.Join(folders[secondary], "copy"), "the first copy was not attacked")

	pids := []int{primary.Node(0).PID(), secondary.Node(0).PID()}
	for _, folder := range folders {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "order"), nil, 0o600))
	}
	writes := 0
	made := func(c *cluster.Cluster, side string) {
		t.Helper()
		cluster.Eventually(t, limit, "the attacks on the "+side+" were made", func(ctx context.Context) error {
			writes++
			_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "kv/during",
				map[string]any{"v": fmt.Sprint(writes)})
			if err != nil {
				return err
			}
			_, err = os.Stat(filepath.Join(folders[c], side))
			return err
		})
	}
	made(secondary, "secondary")
	made(primary, "primary")
	for i, c := range []*cluster.Cluster{primary, secondary} {
		require.False(t, c.Node(0).Ended(), "a server was ended")
		require.Equal(t, pids[i], c.Node(0).PID())
		peak, err := procfs.Peak(pids[i])
		require.NoError(t, err)
		require.Less(t, peak, uint64(mostHeld))
		t.Logf("the host of the %s has held %d MiB at most", c.Options().Name, peak>>20)
	}
	for c, side := range map[*cluster.Cluster]string{primary: "primary", secondary: "secondary"} {
		report(t, side, filepath.Join(folders[c], "report"))
	}

	// What is the same before and after a restart is in storage.
	for _, restart := range []bool{false, true} {
		if restart {
			require.NoError(t, secondary.Restart(ctx, false))
		}
		put(t, primary, "kv/after", map[string]any{"v": fmt.Sprint(restart)})
		require.NoError(t, caughtUp(ctx, primary))
		root := secondary.Node(0).APIClient().Logical()
		if mode == replication.DR {
			require.NoError(t, secondary.Node(0).WaitRole(ctx, "secondary"))
			_, err := root.Read("kv/a")
			requireStatus(t, err, 400)
			continue
		}
		require.NoError(t, secondary.Node(0).WaitPerformanceRole(ctx, "secondary"))
		for path, want := range map[string]string{"own/a": "of the secondary", "kv/a": "a secret", "kv/before": "before",
			"kv/after": fmt.Sprint(restart)} {
			cluster.Eventually(t, limit, path+" is what was written", func(context.Context) error {
				secret, err := root.Read(path)
				if err == nil && (secret == nil || secret.Data["v"] != want) {
					err = fmt.Errorf("it is %v", secret)
				}
				return err
			})
		}
	}
}

// report requires that the host has refused every attack.
func report(t *testing.T, side, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	attacks := 0
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var line struct{ Name, Error string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		if line.Error == "" {
			t.Errorf("the host of the %s let this pass: %s", side, line.Name)
		}
		attacks++
	}
	require.Greater(t, attacks, 50, side)
	t.Logf("the host of the %s refused %d attacks", side, attacks)
}

func buildHostilePlugin(t *testing.T, file string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./hostileplugin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, strings.TrimSpace(string(out)))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
