// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A node that joins a cluster on raft opens by itself a second after it was given its
// share. Who gives it again meanwhile, as a script does that asks until the node is open,
// must not begin a second duty: it would go on beside the first, and the node that takes
// over by it could not change its role.
func TestRoleChangesOnANodeThatWasUnsealedTwice(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{Name: "primary", Binary: product(t), Nodes: 2, SkipInit: true})
	first, second := c.Node(0), c.Node(1)
	init, err := first.Anonymous().Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	require.NoError(t, err)
	key, err := hex.DecodeString(init.Keys[0])
	require.NoError(t, err)
	c.SetBarrierKeys([][]byte{key})
	c.SetRootToken(init.RootToken)
	require.NoError(t, first.Unseal(ctx))
	require.NoError(t, c.WaitActive(ctx))
	cluster.Eventually(t, limit, "the second node is open", func(ctx context.Context) error {
		// It refuses the share while it does not know what to do with it.
		_, err := second.Anonymous().Sys().UnsealWithContext(ctx, init.Keys[0])
		status, serr := second.Anonymous().Sys().SealStatusWithContext(ctx)
		if serr != nil || status.Sealed {
			return errors.Join(err, serr, errors.New("sealed"))
		}
		return nil
	})
	require.NoError(t, c.WaitVoters(ctx))

	require.NoError(t, first.APIClient().Sys().StepDownWithContext(ctx))
	cluster.Eventually(t, limit, "the second node leads", func(ctx context.Context) error {
		health, err := second.Health(ctx)
		if err == nil && health.Standby {
			err = errors.New("it is a standby")
		}
		return err
	})
	write(t, second.APIClient(), cluster.PathPrimaryEnable, nil)
	write(t, second.APIClient(), "sys/replication/dr/primary/demote", nil)
	require.NoError(t, second.WaitRole(ctx, "secondary"))
	log, err := os.ReadFile(second.LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(log), "post-unseal setup failed")
}
