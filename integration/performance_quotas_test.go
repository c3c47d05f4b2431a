// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A rate limit goes with the mount that it is on, of either kind and whichever cluster is asked:
// it is in force at the new path on all clusters, and gone when the mount is.
func TestQuotaMovesWithItsMount(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	both := []*cluster.Cluster{primary, secondary}
	limited := func(c *cluster.Cluster, path string) {
		t.Helper()
		cluster.Eventually(t, limit, "a rate limit on "+path, func(ctx context.Context) error {
			_, err := client(c).ReadWithContext(ctx, path)
			var answer *api.ResponseError
			if errors.As(err, &answer) && answer.StatusCode == http.StatusTooManyRequests {
				return nil
			}
			return fmt.Errorf("the answer was %w", err)
		})
	}
	quota := func(name, path string) {
		t.Helper()
		for _, c := range both {
			eventually(t, c, "sys/quotas/rate-limit/"+name, "path", path)
		}
	}
	for i, asked := range both {
		name := fmt.Sprint("q", i)
		mounted(t, primary, secondary, name+"-old")
		put(t, primary, "sys/auth/"+name+"-old", map[string]any{"type": "userpass"})
		eventually(t, secondary, "sys/auth/"+name+"-old", "type", "userpass")
		for kind, prefix := range map[string]string{"engine": "", "method": "auth/"} {
			put(t, primary, "sys/quotas/rate-limit/"+name+kind, map[string]any{"path": prefix + name + "-old", "rate": 1,
				"interval": "1h"})
			quota(name+kind, prefix+name+"-old/")
			asked := asked.Node(0).APIClient().Sys()
			require.NoError(t, asked.RemountWithContext(t.Context(), prefix+name+"-old", prefix+name+"-new"))
			quota(name+kind, prefix+name+"-new/")
			for _, c := range both {
				limited(c, prefix+name+"-new/users")
			}
			unmount := asked.UnmountWithContext
			if prefix != "" {
				unmount = func(ctx context.Context, _ string) error { return asked.DisableAuthWithContext(ctx, name+"-new") }
			}
			require.NoError(t, unmount(t.Context(), name+"-new"))
			for _, c := range both {
				cluster.Eventually(t, limit, "no rate limit without its mount", func(ctx context.Context) error {
					secret, err := client(c).ReadWithContext(ctx, "sys/quotas/rate-limit/"+name+kind)
					if err == nil && secret != nil {
						return errors.New("it is there")
					}
					return err
				})
			}
		}
	}
}
