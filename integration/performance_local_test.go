// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Local mounts of a secondary, first in the order of paths, have logins with an
// entity of the primary, and keep no other mount from being forwarded after an
// unseal.
func TestLocalMountsAcrossAnUnseal(t *testing.T) {
	parallel(t)
	us, eu := performancePair(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	mounted(t, us, eu, "zzz")
	put(t, eu, "sys/auth/aaa-local", map[string]any{"type": "userpass", "local": true})
	put(t, eu, "sys/mounts/aaa", map[string]any{"type": "kv", "local": true})
	login := func(name string) string {
		put(t, eu, "auth/aaa-local/users/"+name, map[string]any{"password": "secret"})
		auth := put(t, eu, "auth/aaa-local/login/"+name, map[string]any{"password": "secret"}).Auth
		require.NotEmpty(t, auth.EntityID)
		return auth.EntityID
	}
	bob := login("bob")

	require.NoError(t, eu.Restart(ctx, true))
	require.NoError(t, eu.Node(0).WaitPerformanceStreaming(ctx))
	require.Equal(t, bob, login("bob"))
	ann := login("ann")
	require.NotEqual(t, bob, ann)
	eventually(t, us, "identity/entity/id/"+ann, "id", ann)
	put(t, eu, "aaa/a", map[string]any{"v": "eu"})
	put(t, eu, "zzz/a", map[string]any{"v": "forwarded"})
	eventually(t, us, "zzz/a", "v", "forwarded")
	eventually(t, eu, "zzz/a", "v", "forwarded")
}
