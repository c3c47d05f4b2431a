// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// When the primary unmounts an engine, the secondary revokes what it has given out of
// it while the engine has what that takes: what the leases gave access to is gone. It
// does not give up where each revocation is a write of the primary.
func TestUnmountOnThePrimaryRevokesTheSecondarysLeases(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	database, plugins := postgres.New(t), t.TempDir()
	sum := buildExternalPlugin(t, filepath.Join(plugins, "externalplugin"))
	primary, secondary := clusters(t, cluster.Options{ExtraHCL: fmt.Sprintf("plugin_directory = %q", plugins)})
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	put(t, primary, "sys/mounts/db", map[string]any{"type": "database"})
	put(t, primary, "db/config/main", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": database.URL(),
		"username": database.Admin, "password": database.Password,
	})
	put(t, primary, "db/roles/app", map[string]any{"db_name": "main", "default_ttl": "1h", "creation_statements": []string{
		`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
	}})
	put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
	put(t, primary, "sys/mounts/out", map[string]any{"type": "outside"})
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))

	users := func(want string) {
		t.Helper()
		cluster.Eventually(t, limit, want+" users are in the database", func(ctx context.Context) error {
			got, err := database.Query(ctx, database.Admin, database.Password,
				`select count(*) from pg_roles where rolname like 'v-%'`)
			if err == nil && got != want {
				err = fmt.Errorf("there are %s", got)
			}
			return err
		})
	}
	leases := func(path string) int {
		t.Helper()
		secret, err := client(secondary).ListWithContext(ctx, "sys/leases/lookup/"+path)
		require.NoError(t, err)
		if secret == nil {
			return 0
		}
		keys, _ := secret.Data["keys"].([]any)
		return len(keys)
	}
	for range 3 {
		secret, err := client(secondary).ReadWithContext(ctx, "db/creds/app")
		require.NoError(t, err)
		require.NotEmpty(t, secret.LeaseID)
	}
	users("3")
	// Many enough that waiting for each of their writes would take longer than there is.
	const credentials = 60
	for i := range credentials {
		_, err := client(secondary).ReadWithContext(ctx, fmt.Sprintf("out/creds/%d", i))
		require.NoError(t, err)
	}
	require.Equal(t, 3, leases("db/creds/app"))
	require.Equal(t, credentials, leases("out/creds"))

	for _, path := range []string{"out", "db"} {
		require.NoError(t, primary.Node(0).APIClient().Sys().UnmountWithContext(ctx, path))
	}
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	users("0")
	require.Zero(t, leases("db/creds/app"))
	require.Zero(t, leases("out/creds"))
	status, err := secondary.Node(0).PerformanceStatus(ctx)
	require.NoError(t, err)
	require.Empty(t, status.Lacks)
}
