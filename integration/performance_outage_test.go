// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Without its primary a secondary goes on with reads and logins of known entities,
// and refuses a write in one sentence; afterwards everything goes on.
func TestPerformanceSecondaryOutlivesItsPrimary(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	c := secondary.Node(0).APIClient()
	require.NoError(t, c.Sys().MountWithContext(t.Context(), "kv1", &api.MountInput{Type: "kv"}))
	require.NoError(t, c.Sys().EnableAuthWithOptionsWithContext(t.Context(), "userpass",
		&api.EnableAuthOptions{Type: "userpass"}))
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
	require.Contains(t, []int{409, 503}, refused.StatusCode, "%v", err)
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

// A forwarded write whose answer is lost may have been carried out. The stock client repeats
// what is answered 500 and above by itself: here it must not, and it must be told.
func TestWriteWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	link, primary, secondary := linked(t)
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	require.NoError(t, secondary.JoinPerformance(ctx, primary, "west"))
	put(t, primary, "sys/mounts/v2", map[string]any{"type": "kv-v2"})
	c, p := secondary.Node(0).APIClient(), primary.Node(0).APIClient()
	data := map[string]any{"data": map[string]any{"n": 1}}
	cluster.Eventually(t, limit, "the mount is here", func(ctx context.Context) error {
		_, err := c.Logical().WriteWithContext(ctx, "v2/data/before", data)
		return err
	})
	repeated := 0
	c.SetCheckRetry(func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		again, err := api.DefaultRetryPolicy(ctx, resp, err)
		if again {
			repeated++
		}
		return again, err
	})

	link.Swallow(cable.FromTarget)
	answer := make(chan error, 1)
	go func() {
		_, err := c.Logical().WriteWithContext(ctx, "v2/data/once", data)
		answer <- err
	}()
	version := func(ctx context.Context) (json.Number, error) {
		secret, err := p.Logical().ReadWithContext(ctx, "v2/metadata/once")
		if err != nil || secret == nil {
			return "", errors.Join(errors.New("it has not arrived"), err)
		}
		return secret.Data["current_version"].(json.Number), nil
	}
	cluster.Eventually(t, limit, "the primary carries the write out", func(ctx context.Context) error {
		_, err := version(ctx)
		return err
	})
	link.Mend()
	var told *api.ResponseError
	require.ErrorAs(t, <-answer, &told)
	require.Equal(t, http.StatusConflict, told.StatusCode, "%v", told)
	require.Len(t, told.Errors, 1)
	require.Contains(t, told.Errors[0], "read before you repeat it")
	require.Zero(t, repeated)
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	is, err := version(ctx)
	require.NoError(t, err)
	require.Equal(t, json.Number("1"), is)
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
	put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
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
		require.Contains(t, []int{409, 503}, refused.StatusCode, "%s: %v", path, err)
		require.Len(t, refused.Errors, 1, path)
		require.True(t, strings.HasPrefix(refused.Errors[0], "this cluster is a performance secondary"), "%s: %v", path,
			refused.Errors)
	}

	require.NoError(t, primary.Restart(t.Context(), false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(t.Context()))
	write(t, c, "sys/leases/renew", map[string]any{"lease_id": kept})
	write(t, c, "sys/leases/revoke", map[string]any{"lease_id": kept, "sync": true})
}
