// SPDX-License-Identifier: MPL-2.0

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

func TestAStandbyFollowsAndTakesNoWrites(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary := postgres.New(t)
	_, err := primary.Query(ctx, primary.Admin, primary.Password, "CREATE TABLE t (v TEXT)")
	require.NoError(t, err)
	standby, err := primary.Standby(ctx, map[string]string{"fsync": "off"})
	require.NoError(t, err)
	t.Cleanup(standby.Stop)
	_, err = primary.Query(ctx, primary.Admin, primary.Password, "INSERT INTO t VALUES ('after')")
	require.NoError(t, err)
	cluster.Eventually(t, time.Minute, "the standby has the row", func(ctx context.Context) error {
		got, err := standby.Query(ctx, standby.Admin, standby.Password, "SELECT v FROM t")
		if err == nil && got != "after" {
			err = fmt.Errorf("it has %q", got)
		}
		return err
	})
	_, err = standby.Query(ctx, standby.Admin, standby.Password, "INSERT INTO t VALUES ('here')")
	require.ErrorContains(t, err, "read-only")
}
