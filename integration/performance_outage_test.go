// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Without its primary a secondary goes on with reads and logins of known entities,
// and refuses a write in one sentence; afterwards everything goes on.
func TestPerformanceSecondaryOutlivesItsPrimary(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	c := secondary.Node(0).APIClient()
	require.NoError(t, c.Sys().MountWithContext(t.Context(), "kv1", &api.MountInput{Type: "kv"}))
	require.NoError(t, c.Sys().EnableAuthWithOptionsWithContext(t.Context(), "userpass", &api.EnableAuthOptions{Type: "userpass"}))
	write(t, c, "kv1/a", map[string]any{"value": "before"})
	write(t, c, "auth/userpass/users/ann", map[string]any{"password": "secret"})
	login := func() {
		t.Helper()
		secret := write(t, c, "auth/userpass/login/ann", map[string]any{"password": "secret"})
		require.NotEmpty(t, secret.Auth.EntityID)
	}
	login()

	require.NoError(t, primary.Stop(t.Context(), false))
	read, err := c.Logical().ReadWithContext(t.Context(), "kv1/a")
	require.NoError(t, err)
	require.Equal(t, "before", read.Data["value"])
	login()
	once, err := c.CloneWithHeaders()
	require.NoError(t, err)
	once.SetToken(c.Token())
	once.SetMaxRetries(0)
	_, err = once.Logical().WriteWithContext(t.Context(), "kv1/a", map[string]any{"value": "lost"})
	var refused *api.ResponseError
	require.True(t, errors.As(err, &refused), "%v", err)
	require.Contains(t, []int{502, 503}, refused.StatusCode, "%v", err)
	require.Len(t, refused.Errors, 1)

	require.NoError(t, primary.Restart(t.Context(), false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, secondary.WaitCaughtUp(ctx, primary))
	write(t, c, "kv1/a", map[string]any{"value": "after"})
	read, err = c.Logical().ReadWithContext(t.Context(), "kv1/a")
	require.NoError(t, err)
	require.Equal(t, "after", read.Data["value"])
	login()
}

// A lease whose engine would write waits for the primary: the client is told so in one
// sentence. The plugin's renewals and revocations write shared storage.
func TestLeasesWithoutThePrimary(t *testing.T) {
	parallel(t)
	plugins := t.TempDir()
	sum := buildExternalPlugin(t, filepath.Join(plugins, "externalplugin"))
	primary, secondary := clusters(t, cluster.Options{ExtraHCL: fmt.Sprintf("plugin_directory = %q", plugins)})
	require.NoError(t, primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, secondary.JoinPerformance(t.Context(), primary, "west"))
	put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum, "args": []string{"-type=secret"}})
	put(t, primary, "sys/mounts/out", map[string]any{"type": "outside"})
	c := secondary.Node(0).APIClient()
	lease := func() (id string) {
		cluster.Eventually(t, limit, "a lease", func(ctx context.Context) error {
			secret, err := c.Logical().ReadWithContext(ctx, "out/creds/user")
			if err == nil && secret == nil {
				return errors.New("the mount is not here yet")
			}
			if err == nil {
				id = secret.LeaseID
			}
			return err
		})
		return id
	}
	kept, gone := lease(), lease()
	write(t, c, "sys/leases/renew", map[string]any{"lease_id": kept})
	write(t, c, "sys/leases/revoke", map[string]any{"lease_id": gone, "sync": true})

	require.NoError(t, primary.Stop(t.Context(), false))
	once, err := c.CloneWithHeaders()
	require.NoError(t, err)
	once.SetToken(c.Token())
	once.SetMaxRetries(0)
	for path, data := range map[string]map[string]any{
		"sys/leases/renew":                   {"lease_id": kept},
		"sys/leases/revoke":                  {"lease_id": kept, "sync": true},
		"sys/leases/revoke-prefix/out/creds": {"sync": true},
	} {
		_, err := once.Logical().WriteWithContext(t.Context(), path, data)
		var refused *api.ResponseError
		require.ErrorAs(t, err, &refused, path)
		require.Contains(t, []int{502, 503}, refused.StatusCode, "%s: %v", path, err)
		require.Len(t, refused.Errors, 1, path)
		require.True(t, strings.HasPrefix(refused.Errors[0], "this cluster is a performance secondary"), "%s: %v", path, refused.Errors)
	}

	require.NoError(t, primary.Restart(t.Context(), false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(t.Context()))
	write(t, c, "sys/leases/renew", map[string]any{"lease_id": kept})
	write(t, c, "sys/leases/revoke", map[string]any{"lease_id": kept, "sync": true})
}
