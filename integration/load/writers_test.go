// SPDX-License-Identifier: MPL-2.0

package load_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
)

// What stock Vault acknowledged survives its own kill -9 on raft: a store that is
// known to be right passes the check, with nothing missing.
func TestKilledStockVaultIsItselfAtOneMoment(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{Name: "load", Binary: cluster.Binary(t, "vault-plain")})
	require.NoError(t, load.Prepare(ctx, c.Node(0).APIClient()))
	writers := load.Start(ctx, c.Node(0).APIClient, 8)
	cluster.Eventually(t, time.Minute, "the writers are under way", func(context.Context) error {
		if n, _ := writers.Acknowledged(); n < 300 {
			return errors.New("too few writes")
		}
		return nil
	})
	require.NoError(t, c.Restart(ctx, false))
	journal := writers.Stop()
	_, last := writers.Acknowledged()
	held, err := load.Read(ctx, c.Node(0).APIClient())
	require.NoError(t, err)
	require.NoError(t, load.Check(journal, held, last))

	// And one that lost a write does not.
	delete(held.Single[0], 1)
	require.ErrorContains(t, load.Check(journal, held, 0), "write 1 of writer 0")
}
