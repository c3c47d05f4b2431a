// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A cold restart comes up in the role it had, with every storage and seal, and
// the link resumes where it was.
func TestRoleSurvivesColdRestart(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		for _, seal := range []string{"shamir 1 of 1", "shamir 2 of 3", "transit"} {
			for _, graceful := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, graceful %t", storage, seal, graceful), func(t *testing.T) {
					parallel(t)
					opts := cluster.Options{Storage: storage}
					switch seal {
					case "shamir 2 of 3":
						opts.Shares, opts.Threshold = 3, 2
					case "transit":
						opts.Seal = sealProvider(t)
					}
					restartBoth(t, opts, graceful)
				})
			}
		}
	}
}

func sealProvider(t *testing.T) *cluster.TransitSeal {
	t.Helper()
	provider := cluster.New(t, cluster.Options{Name: "provider", Binary: stock(t), Storage: cluster.Inmem})
	seal, err := cluster.NewTransitSeal(t.Context(), provider, "unseal")
	require.NoError(t, err)
	return seal
}

func restartBoth(t *testing.T, opts cluster.Options, graceful bool) {
	ctx := t.Context()
	primary, secondary := pair(t, opts)
	put := func(n int) {
		_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/n", map[string]any{"n": n})
		require.NoError(t, err)
	}
	put(1)
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, secondary.Restart(ctx, graceful))
	requireSecondary(t, secondary)
	put(2)
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, primary.Restart(ctx, graceful))
	require.NoError(t, primary.Node(0).WaitRole(ctx, "primary"))
	put(3)
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, primary.Stop(ctx, graceful))
	require.NoError(t, secondary.Promote(ctx))
	require.NoError(t, secondary.Restart(ctx, graceful))
	require.NoError(t, secondary.Node(0).WaitRole(ctx, "primary"))
	secret, err := secondary.Node(0).APIClient().Logical().ReadWithContext(ctx, "cubbyhole/n")
	require.NoError(t, err)
	require.Equal(t, "3", fmt.Sprint(secret.Data["n"]))
}

// requireSecondary asserts, without waiting, that an unsealed node shows and
// behaves as a DR secondary: there is no moment in which it is anything else.
func requireSecondary(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	health, err := c.Node(0).Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, "secondary", health.ReplicationDRMode)
	_, err = c.Node(0).APIClient().Logical().ReadWithContext(t.Context(), "sys/mounts")
	requireDisabled(t, err)
}

func requireDisabled(t *testing.T, err error) {
	t.Helper()
	var response *api.ResponseError
	require.ErrorAs(t, err, &response)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Equal(t, []string{"path disabled in replication DR secondary mode"}, response.Errors)
}

// A role record that cannot be read keeps the node sealed: a guess could make a
// second primary out of a secondary.
func TestUnreadableRoleRecordFailsClosed(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	_, secondary := pair(t, cluster.Options{Storage: cluster.File})
	node := secondary.Node(0)
	record := filepath.Join(node.DataDir(), "core", "replication", "_role")
	content, err := os.ReadFile(record)
	require.NoError(t, err)
	require.NoError(t, node.Kill(ctx))
	// Another byte in the middle: still what the storage calls an entry, but not
	// what the barrier wrote.
	at := bytes.Index(content, []byte(`"Value":"`)) + 60
	require.Greater(t, at, 60)
	changed := bytes.Clone(content)
	changed[at] = 'A' + (changed[at]-'A'+1)%26
	require.NoError(t, os.WriteFile(record, changed, 0o600))

	require.NoError(t, node.Start(ctx))
	err = node.Unseal(ctx)
	require.Error(t, err)
	status, err := node.Anonymous().Sys().SealStatusWithContext(ctx)
	require.NoError(t, err)
	require.True(t, status.Sealed)

	require.NoError(t, node.Kill(ctx))
	require.NoError(t, os.WriteFile(record, content, 0o600))
	require.NoError(t, node.Start(ctx))
	require.NoError(t, secondary.Unseal(ctx))
	requireSecondary(t, secondary)
}
