// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// The active node of a cluster on storage without transactions is killed between the rows
// of its change to a secondary. The other node takes over as the cluster was, writes, and
// rotates the keys. The one that was killed comes back to that, and to nothing of its step.
func TestLeaderIsKilledInsideItsChangeOfRole(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	db := postgres.New(t)
	ca := cluster.NewTestCA(t)
	primary := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), CA: ca})
	tables := db.VaultTables(t, "joining")
	joining := cluster.New(t, cluster.Options{Name: "joining", Binary: product(t), CA: ca, Storage: cluster.PostgreSQL,
		Tables: tables, Nodes: 2})
	require.NoError(t, primary.EnableDRPrimary(ctx))
	active, err := joining.WaitLeader(ctx)
	require.NoError(t, err)
	write(t, active.APIClient(), "cubbyhole/mine", map[string]any{"of": "the cluster"})
	token, err := primary.ActivationToken(ctx, "joining")
	require.NoError(t, err)

	sql := func(statement string) string {
		t.Helper()
		out, err := db.Query(ctx, db.Admin, db.Password, statement)
		require.NoError(t, err)
		return out
	}
	// A write of the role waits in the database.
	sql(`CREATE FUNCTION hold() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$ LANGUAGE plpgsql`)
	sql(`CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON ` + tables.Entries +
		` FOR EACH ROW WHEN (NEW.key = 'role') EXECUTE FUNCTION hold()`)
	keyring := `SELECT md5(value) FROM ` + tables.Entries + ` WHERE key = 'keyring'`
	before := sql(keyring)
	write(t, active.APIClient(), cluster.PathSecondaryEnable, map[string]any{"token": token, "ca_file": ca.File})
	holding := `SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'`
	cluster.Eventually(t, limit, "the active node is inside its step", func(context.Context) error {
		out, err := db.Query(ctx, db.Admin, db.Password, holding)
		if err == nil && out == "" {
			err = fmt.Errorf("nobody waits")
		}
		return err
	})
	require.NotEqual(t, before, sql(keyring), "the keyring is written, and the role is not")
	require.NoError(t, active.Kill(ctx))
	sql(`SELECT pg_terminate_backend(pid) FROM (` + holding + `) AS held`)
	sql(`DROP TRIGGER hold ON ` + tables.Entries)

	other, err := joining.WaitOtherActive(ctx, active)
	require.NoError(t, err)
	require.Equal(t, before, sql(keyring), "the step was undone")
	require.Empty(t, sql(`SELECT key FROM `+tables.Entries+` WHERE key IN ('step', 'role')`))
	root := other.APIClient()
	secret, err := root.Logical().Read("cubbyhole/mine")
	require.NoError(t, err)
	require.NotNil(t, secret)
	require.Equal(t, "the cluster", secret.Data["of"])
	require.NoError(t, other.WaitRole(ctx, "disabled"))
	require.NoError(t, root.Sys().Rotate())
	rotated := sql(keyring)

	require.NoError(t, active.Start(ctx))
	require.NoError(t, active.Unseal(ctx))
	require.NoError(t, active.WaitStandby(ctx))
	require.NoError(t, other.APIClient().Sys().StepDownWithContext(ctx))
	_, err = joining.WaitOtherActive(ctx, other)
	require.NoError(t, err)
	require.Equal(t, rotated, sql(keyring))
	require.NoError(t, active.WaitRole(ctx, "disabled"))
}
