// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
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
