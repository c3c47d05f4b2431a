// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// rotationPeriod is the shortest that the database engine takes.
const rotationPeriod = 5 * time.Second

// The password of a static role is changed by the primary alone; the secondary gives
// out what the primary has set. Once it is promoted it goes on with the rotation.
func TestStaticRoleIsRotatedByThePrimaryAlone(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	database := postgres.New(t)
	_, err := database.Query(ctx, database.Admin, database.Password, `create role app with login password 'first'`)
	require.NoError(t, err)
	primary, secondary := performancePair(t)
	there := primary.Node(0).APIClient()
	require.NoError(t, there.Sys().MountWithContext(ctx, "db", &api.MountInput{Type: "database"}))
	write(t, there, "db/config/main", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": database.URL(),
		"username": database.Admin, "password": database.Password,
	})
	write(t, there, "db/static-roles/app", map[string]any{"db_name": "main", "username": "app",
		"rotation_period": rotationPeriod.String()})

	first := staticCreds(t, primary, "")
	second := staticCreds(t, primary, first.rotated)
	require.NotEqual(t, first.password, second.password)
	cluster.Eventually(t, limit, "the secondary gives out a password that works", func(ctx context.Context) error {
		creds, err := readStatic(ctx, secondary)
		if err != nil {
			return err
		}
		_, err = database.Query(ctx, "app", creds.password, "select 1")
		return err
	})
	require.NoError(t, primary.Stop(ctx, false))
	last, err := readStatic(ctx, secondary)
	require.NoError(t, err)
	at, err := time.Parse(time.RFC3339, last.rotated)
	require.NoError(t, err)
	cluster.Eventually(t, limit, "three periods have passed without the primary", func(_ context.Context) error {
		if since := time.Since(at); since < 3*rotationPeriod {
			return fmt.Errorf("%s since the last rotation", since)
		}
		return nil
	})
	now, err := readStatic(ctx, secondary)
	require.NoError(t, err)
	require.Equal(t, last, now, "the secondary changes nothing")
	_, err = database.Query(ctx, "app", now.password, "select 1")
	require.NoError(t, err, "neither here nor in the database")

	_, err = client(secondary).WriteWithContext(ctx, cluster.PathPerformance+"secondary/promote", nil)
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitPerformanceRole(ctx, "primary"))
	taken := staticCreds(t, secondary, last.rotated)
	require.NotEqual(t, last.password, taken.password)
	_, err = database.Query(ctx, "app", taken.password, "select 1")
	require.NoError(t, err)
}

type static struct{ password, rotated string }

// staticCreds waits for a rotation after the one at a time.
func staticCreds(t *testing.T, c *cluster.Cluster, before string) (creds static) {
	t.Helper()
	cluster.Eventually(t, limit, "the password was changed", func(ctx context.Context) (err error) {
		if creds, err = readStatic(ctx, c); err == nil && creds.rotated == before {
			err = fmt.Errorf("not since %s", before)
		}
		return err
	})
	return creds
}

func readStatic(ctx context.Context, c *cluster.Cluster) (static, error) {
	secret, err := client(c).ReadWithContext(ctx, "db/static-creds/app")
	if err != nil {
		return static{}, err
	}
	if secret == nil {
		return static{}, fmt.Errorf("there is no static role")
	}
	return static{fmt.Sprint(secret.Data["password"]), fmt.Sprint(secret.Data["last_vault_rotation"])}, nil
}
