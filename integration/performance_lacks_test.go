// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A secondary starts, joins and restarts where a program and a folder are missing
// that the primary has. It says so, serves the rest, and takes up what is missing
// once it is there.
func TestPerformanceSecondaryServesWithoutWhatItLacks(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	withPlugin, without, logs := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "logs")
	sum := buildExternalPlugin(t, filepath.Join(withPlugin, "externalplugin"))
	opts := cluster.Options{Name: "primary", Binary: product(t), CA: cluster.NewTestCA(t),
		ExtraHCL: fmt.Sprintf("plugin_directory = %q", withPlugin)}
	primary := cluster.New(t, opts)
	opts.Name, opts.ExtraHCL = "secondary", fmt.Sprintf("plugin_directory = %q", without)
	secondary := cluster.New(t, opts)

	put(t, primary, "sys/mounts/kv", map[string]any{"type": "kv"})
	put(t, primary, "kv/a", map[string]any{"v": "one"})
	put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
	put(t, primary, "sys/mounts/out", map[string]any{"type": "outside"})
	put(t, primary, "out/entries/a", map[string]any{"value": "one"})
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	own := filepath.Join(t.TempDir(), "own.log")
	audit := func(c *cluster.Cluster, name, file string, local bool) {
		require.NoError(t, c.Node(0).APIClient().Sys().EnableAuditWithOptionsWithContext(ctx, name, &api.EnableAuditOptions{
			Type: "file", Local: local, Options: map[string]string{"file_path": file},
		}))
	}
	audit(secondary, "own", own, true)
	require.NoError(t, os.Mkdir(logs, 0o700))
	audit(primary, "shared", filepath.Join(logs, "audit.log"), false)
	lacks := func(wants ...string) {
		t.Helper()
		cluster.Eventually(t, limit, fmt.Sprintf("the status says what it lacks: %q", wants),
			func(ctx context.Context) error {
				status, err := secondary.Node(0).PerformanceStatus(ctx)
				if err != nil {
					return err
				}
				text := strings.Join(status.Lacks, "\n")
				if len(status.Lacks) != len(wants) {
					return errors.New(text)
				}
				for _, want := range wants {
					if !strings.Contains(text, want) {
						return errors.New(text)
					}
				}
				return nil
			})
	}
	serves := func(value string) {
		t.Helper()
		put(t, secondary, "kv/a", map[string]any{"v": value})
		eventually(t, secondary, "kv/a", "v", value)
		_, err := client(secondary).WriteWithContext(ctx, "out/entries/a", map[string]any{"value": value})
		var answer *api.ResponseError
		require.ErrorAs(t, err, &answer, "a program that is not there answered")
		require.Equal(t, 404, answer.StatusCode)
	}
	lacks("out/")
	tellsTheDetailsToTokens(t, primary, secondary)
	serves("two")
	// A local mount that is in the place of one of the primary's makes room for it when
	// it goes, without a change of the primary.
	put(t, secondary, "sys/mounts/taken", map[string]any{"type": "kv", "local": true})
	put(t, primary, "sys/mounts/taken", map[string]any{"type": "kv"})
	put(t, primary, "taken/a", map[string]any{"v": "shared"})
	lacks("out/", "taken/")
	_, err := client(secondary).DeleteWithContext(ctx, "sys/mounts/taken")
	require.NoError(t, err)
	eventually(t, secondary, "taken/a", "v", "shared")
	lacks("out/")
	// Both servers have the file open. Nobody can open it again: its folder is a file.
	require.NoError(t, os.Rename(logs, logs+"-moved"))
	require.NoError(t, os.WriteFile(logs, nil, 0o600))
	require.NoError(t, secondary.Restart(ctx, false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	lacks("shared/", "out/")
	serves("three")
	require.NotEmpty(t, auditedOf(t, own, "kv/a"))

	// The program is installed and reloaded, as the documentation of Vault says.
	program, err := os.ReadFile(filepath.Join(withPlugin, "externalplugin"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(without, "externalplugin"), program, 0o700))
	put(t, secondary, "sys/plugins/reload/backend", map[string]any{"plugin": "outside"})
	eventually(t, secondary, "out/entries/a", "value", "one")
	lacks("shared/")
	put(t, secondary, "out/entries/a", map[string]any{"value": "two"})
	eventually(t, primary, "out/entries/a", "value", "two")

	// Without a device that logs, requests are refused, as Vault's rule is, and the
	// status says why; replication goes on.
	// The answer to what takes the last one away cannot be logged either.
	var answer *api.ResponseError
	require.ErrorAs(t, secondary.Node(0).APIClient().Sys().DisableAuditWithContext(ctx, "own"), &answer)
	require.Equal(t, 500, answer.StatusCode)
	require.NoError(t, secondary.Restart(ctx, true))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	lacks("shared/")
	_, err = client(secondary).ReadWithContext(ctx, "kv/a")
	require.ErrorAs(t, err, &answer)
	require.Equal(t, 500, answer.StatusCode)
	put(t, primary, "kv/a", map[string]any{"v": "four"})
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))

	// Once the folder is mended, the next request opens the device.
	require.NoError(t, os.Remove(logs))
	require.NoError(t, os.Mkdir(logs, 0o700))
	eventually(t, secondary, "kv/a", "v", "four")
	lacks()
	require.NotEmpty(t, auditedOf(t, filepath.Join(logs, "audit.log"), "kv/a"))
}

// tellsTheDetailsToTokens reads the status with each kind of token: what Vault's
// documentation does not promise is for those that may read the path.
func tellsTheDetailsToTokens(t *testing.T, primary, secondary *cluster.Cluster) {
	t.Helper()
	ctx := t.Context()
	const path = cluster.PathPerformance + "status"
	put(t, primary, "sys/policies/acl/status", map[string]any{"policy": fmt.Sprintf("path %q { capabilities = "+
		"[\"read\"] }", path)})
	token := func(fields map[string]any) string {
		secret, err := client(primary).WriteWithContext(ctx, "auth/token/create", fields)
		require.NoError(t, err)
		return secret.Auth.ClientToken
	}
	for token, sees := range map[string]bool{
		"":                     false,
		"hvs.of-nobody":        false,
		primary.GetRootToken(): true,
		token(map[string]any{"policies": []string{"default"}}):                 false,
		token(map[string]any{"policies": []string{"status"}}):                  true,
		token(map[string]any{"policies": []string{"status"}, "type": "batch"}): true,
	} {
		c := primary.Node(0).Anonymous()
		c.SetToken(token)
		secret, err := c.Logical().ReadWithContext(ctx, path)
		require.NoError(t, err)
		require.Equal(t, sees, secret.Data["slots"] != nil, "slots are for a token that may read the status")
		require.Equal(t, []any{"west"}, secret.Data["known_secondaries"])
	}
	secret, err := secondary.Node(0).Anonymous().Logical().ReadWithContext(ctx, path)
	require.NoError(t, err)
	require.Len(t, secret.Data["lacks"], 1)
	require.NotContains(t, secret.Data["lacks"].([]any)[0], "out/")
}
