// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// What changes on the primary is visible on the secondary, which is not restarted,
// while a client of the secondary reads without one failed request.
func TestPerformanceSecondaryFollowsLive(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	p, s := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	require.NoError(t, s.Sys().MountWithContext(t.Context(), "steady", &api.MountInput{Type: "kv"}))
	write(t, s, "steady/a", map[string]any{"value": "x"})
	stop := readSteadily(t, s, "steady/a")

	see := func(what string, read func(context.Context) (bool, error)) {
		t.Helper()
		cluster.Eventually(t, limit, what, func(ctx context.Context) error {
			ok, err := read(ctx)
			if err == nil && !ok {
				err = errors.New("not visible")
			}
			return err
		})
	}
	value := func(path, key, want string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			secret, err := s.Logical().ReadWithContext(ctx, path)
			return err == nil && secret != nil && fmt.Sprint(secret.Data[key]) == want, err
		}
	}
	mounted := func(path string, want bool) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			mounts, err := s.Sys().ListMountsWithContext(ctx)
			_, found := mounts[path]
			return found == want, err
		}
	}

	require.NoError(t, p.Sys().MountWithContext(t.Context(), "one", &api.MountInput{Type: "kv"}))
	write(t, p, "one/a", map[string]any{"value": "1"})
	see("mount", value("one/a", "value", "1"))
	require.NoError(t, p.Sys().TuneMountWithContext(t.Context(), "one", api.MountConfigInput{DefaultLeaseTTL: "77s"}))
	see("tune", value("sys/mounts/one/tune", "default_lease_ttl", "77"))
	require.NoError(t, p.Sys().RemountWithContext(t.Context(), "one", "two"))
	see("move", value("two/a", "value", "1"))
	require.NoError(t, p.Sys().UnmountWithContext(t.Context(), "two"))
	see("unmount", mounted("two/", false))

	require.NoError(t, p.Sys().PutPolicyWithContext(t.Context(), "live", `path "a" { capabilities = ["read"] }`))
	see("policy", func(ctx context.Context) (bool, error) {
		rules, err := s.Sys().GetPolicyWithContext(ctx, "live")
		return rules != "", err
	})
	require.NoError(t, p.Sys().DeletePolicyWithContext(t.Context(), "live"))
	see("deleted policy", func(ctx context.Context) (bool, error) {
		rules, err := s.Sys().GetPolicyWithContext(ctx, "live")
		return rules == "", err
	})
	write(t, p, "identity/entity/name/ann", map[string]any{"metadata": map[string]string{"k": "v"}})
	see("entity", value("identity/entity/name/ann", "name", "ann"))
	write(t, p, "sys/quotas/rate-limit/q", map[string]any{"rate": 12345})
	see("quota", value("sys/quotas/rate-limit/q", "rate", "12345"))
	write(t, p, "sys/config/cors", map[string]any{"allowed_origins": "https://live.example"})
	see("CORS", value("sys/config/cors", "enabled", "true"))
	write(t, p, "sys/policies/password/pw", map[string]any{"policy": `length = 20
rule "charset" { charset = "abcdefghij" }`})
	see("password policy", func(ctx context.Context) (bool, error) {
		secret, err := s.Logical().ReadWithContext(ctx, "sys/policies/password/pw/generate")
		return secret != nil, err
	})

	require.NoError(t, p.Sys().MountWithContext(t.Context(), "transit", &api.MountInput{Type: "transit"}))
	write(t, p, "transit/keys/k", nil)
	see("transit key", value("transit/keys/k", "latest_version", "1"))
	write(t, p, "transit/keys/k/rotate", nil)
	see("rotated transit key", value("transit/keys/k", "latest_version", "2"))

	require.NoError(t, p.Sys().RotateWithContext(t.Context()))
	write(t, p, "steady/b", map[string]any{"value": "rotated"})
	see("write after sys/rotate", value("steady/b", "value", "rotated"))
	stop()
}

// readSteadily reads a path without retries until stop is called, which fails the
// test by the first read that failed.
func readSteadily(t *testing.T, c *api.Client, path string) (stop func()) {
	t.Helper()
	once, err := c.CloneWithHeaders()
	require.NoError(t, err)
	once.SetToken(c.Token())
	once.SetMaxRetries(0)
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for first := true; ; first = false {
			select {
			case <-done:
				if !first {
					failed <- nil
					return
				}
			default:
			}
			secret, err := once.Logical().Read(path)
			if err == nil && secret == nil {
				err = errors.New("the secret was not found")
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		close(done)
		require.NoError(t, <-failed, "a steady read failed")
	}
}
