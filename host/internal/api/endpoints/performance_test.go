// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Both spellings of a performance path do the same, and none asks for a DR
// operation token.
func TestPerformancePaths(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"replication/performance/", "replication/"} {
		f := decorated(t, replication.Disabled)
		_, status, err := f.update(t, prefix+"primary/enable", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)

		f.controller.roles[replication.Performance] = replication.Primary
		resp, _, err := f.update(t, prefix+"primary/secondary-token", map[string]any{"id": "eu"})
		require.NoError(t, err)
		require.Equal(t, "jwt", resp.WrapInfo.Format)
		for _, path := range []string{"primary/revoke-secondary", "primary/demote", "primary/disable"} {
			_, status, err := f.update(t, prefix+path, map[string]any{"id": "eu"})
			require.NoError(t, err, path)
			require.Equal(t, http.StatusOK, status, path)
		}

		f.controller.roles[replication.Performance] = replication.Secondary
		for _, path := range []string{"secondary/update-primary", "secondary/promote", "secondary/disable"} {
			_, status, err := f.update(t, prefix+path, nil)
			require.NoError(t, err, path)
			require.Equal(t, http.StatusOK, status, path)
		}
		require.Nil(t, f.controller.promote.Consume)
		require.Empty(t, f.tokens.paths, "a DR operation token was asked for")
		require.Equal(t, []string{"enable-primary", "secondary-token", "revoke", "demote", "disable-primary",
			"update-primary", "promote", "disable-secondary"}, f.controller.calls)
	}
}

func TestPathsFilter(t *testing.T) {
	t.Parallel()
	const path = "replication/performance/primary/paths-filter/eu"
	f := decorated(t, replication.Disabled)
	_, status, _ := f.update(t, path, map[string]any{"mode": "deny", "paths": "secret-us/"})
	require.Equal(t, http.StatusBadRequest, status, "not a primary")

	f.controller.roles[replication.Performance] = replication.Primary
	for name, data := range map[string]map[string]any{
		"unknown mode": {"mode": "block", "paths": "secret/"},
		"empty path":   {"mode": "deny", "paths": []string{"secret/", "/"}},
	} {
		_, status, _ := f.update(t, path, data)
		require.Equal(t, http.StatusBadRequest, status, name)
	}
	require.Empty(t, f.controller.filters)

	_, _, err := f.update(t, path, map[string]any{"mode": "", "paths": "secret/"})
	require.NoError(t, err)
	require.Equal(t, "allow", f.controller.filters["eu"].Mode, "an empty mode is as one that is left out")
	_, _, err = f.update(t, path, map[string]any{"mode": "deny", "paths": "secret-us,auth/ldap/,/secret-us/"})
	require.NoError(t, err)
	resp, _, err := f.do(t, logical.ReadOperation, path, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"mode": "deny", "paths": []string{"auth/ldap/", "secret-us/"}}, resp.Data)

	resp, _, err = f.do(t, logical.ReadOperation, "replication/performance/primary/dynamic-filter/eu", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"auth/ldap/", "secret-us/"}, resp.Data["dynamic_filtered_mounts"])
	_, status, _ = f.do(t, logical.ReadOperation, "replication/performance/secondary/dynamic-filter/eu", nil)
	require.Equal(t, http.StatusBadRequest, status, "the secondary's side on a primary")

	_, _, err = f.do(t, logical.DeleteOperation, path, nil)
	require.NoError(t, err)
	resp, _, err = f.do(t, logical.ReadOperation, path, nil)
	require.NoError(t, err)
	require.Nil(t, resp)
}
