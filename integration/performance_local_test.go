// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// Local mounts, whose names sort before all others, take nothing from the rest:
// logins on a local auth method get an entity of the primary, and writes to shared
// mounts are forwarded, also after the secondary was restarted.
func TestLocalMountsOfAPerformanceSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := performancePair(t)
	there, here := primary.Node(0).APIClient(), secondary.Node(0).APIClient()
	require.NoError(t, here.Sys().MountWithContext(ctx, "zzz", &api.MountInput{Type: "kv"}))
	require.NoError(t, here.Sys().MountWithContext(ctx, "aaa", &api.MountInput{Type: "kv", Local: true}))
	require.NoError(t, here.Sys().EnableAuthWithOptionsWithContext(ctx, "aaa",
		&api.EnableAuthOptions{Type: "userpass", Local: true}))
	write(t, here, "auth/aaa/users/ann", map[string]any{"password": "secret"})
	write(t, here, "aaa/a", map[string]any{"value": "stays"})
	login := func() string {
		t.Helper()
		secret := write(t, secondary.Node(0).APIClient(), "auth/aaa/login/ann", map[string]any{"password": "secret"})
		require.NotEmpty(t, secret.Auth.EntityID)
		return secret.Auth.EntityID
	}
	entity := login()
	known, err := there.Logical().ReadWithContext(ctx, "identity/entity/id/"+entity)
	require.NoError(t, err)
	require.NotNil(t, known, "the entity is the primary's")
	mounts, err := there.Sys().ListMountsWithContext(ctx)
	require.NoError(t, err)
	require.NotContains(t, mounts, "aaa/")
	require.Contains(t, mounts, "zzz/")

	require.NoError(t, secondary.Restart(ctx, false))
	require.NoError(t, secondary.Node(0).WaitPerformanceStreaming(ctx))
	require.Equal(t, entity, login())
	here = secondary.Node(0).APIClient()
	write(t, here, "zzz/a", map[string]any{"value": "forwarded"})
	read, err := there.Logical().ReadWithContext(ctx, "zzz/a")
	require.NoError(t, err)
	require.Equal(t, "forwarded", read.Data["value"])
	read, err = here.Logical().ReadWithContext(ctx, "aaa/a")
	require.NoError(t, err)
	require.Equal(t, "stays", read.Data["value"])
}
