// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/content"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Every class of content is the same after a failover as before it, whether it
// was there before the secondary joined (first copy) or came later (streaming).
func TestFailoverKeepsEverything(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]cluster.Options{
		"copied, raft, 3 of 5": {Shares: 5, Threshold: 3},
		"streamed, raft":       {},
		"streamed, file":       {Storage: cluster.File},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			failOver(t, opts, strings.HasPrefix(name, "copied"))
		})
	}
}

func failOver(t *testing.T, opts cluster.Options, loadFirst bool) {
	ctx := t.Context()
	primary, secondary := clusters(t, opts)
	v := &content.Vault{
		Root: primary.Node(0).APIClient(), Notes: map[string]string{},
		AuditFile: artifact(t, "audit.log"), Database: postgres.New(t),
	}
	if loadFirst {
		require.NoError(t, content.Load(ctx, v))
	}
	require.NoError(t, primary.EnableDRPrimary(ctx))
	require.NoError(t, secondary.JoinDR(ctx, primary))
	if !loadFirst {
		require.NoError(t, content.Load(ctx, v))
	}
	before, err := content.Snapshot(ctx, v)
	require.NoError(t, err)

	short, err := primary.Node(0).APIClient().Auth().Token().Create(&api.TokenCreateRequest{TTL: "15s"})
	require.NoError(t, err)
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, secondary.Promote(ctx))

	promoted := v.On(secondary.Node(0).APIClient())
	after, err := content.Snapshot(ctx, promoted)
	require.NoError(t, err)
	require.Empty(t, content.Diff(before, after))

	requireAudited(t, v.AuditFile, "kv1/app/a")
	require.NoError(t, content.RevokeAll(ctx, promoted))
	cluster.Eventually(t, limit, "the short token of the old primary expires on the new one",
		func(ctx context.Context) error {
			client := secondary.Node(0).Anonymous()
			client.SetToken(short.Auth.ClientToken)
			_, err := client.Auth().Token().LookupSelfWithContext(ctx)
			var response *api.ResponseError
			if errors.As(err, &response) && response.StatusCode == http.StatusForbidden {
				return nil
			}
			return fmt.Errorf("it is still known at %s: %w", time.Now(), err)
		})
}

func requireAudited(t *testing.T, file, path string) {
	t.Helper()
	log, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(log), path)
}
