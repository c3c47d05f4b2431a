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

// With a list of what is allowed, auth methods are filtered as engines are, also
// those that are mounted later; clients of a method that goes are logged out.
func TestPathsFilterThatAllows(t *testing.T) {
	parallel(t)
	us, eu := performancePair(t)
	const path = cluster.PathPerformance + "primary/paths-filter/west"
	for _, name := range []string{"in", "out"} {
		mounted(t, us, eu, name)
		put(t, us, name+"/a", map[string]any{"v": "one"})
		put(t, us, "sys/auth/"+name, map[string]any{"type": "userpass"})
		put(t, us, "auth/"+name+"/users/ann", map[string]any{"password": "secret"})
		eventually(t, eu, name+"/a", "v", "one")
	}
	login := func(ctx context.Context, method string) (*api.Secret, error) {
		return client(eu).WriteWithContext(ctx, "auth/"+method+"/login/ann", map[string]any{"password": "secret"})
	}
	tokens := map[string]string{}
	for _, name := range []string{"in", "out"} {
		cluster.Eventually(t, limit, "a login by "+name, func(ctx context.Context) error {
			secret, err := login(ctx, name)
			if err == nil {
				tokens[name] = secret.Auth.ClientToken
			}
			return err
		})
	}

	put(t, us, path, map[string]any{"mode": "allow", "paths": "in/,auth/in/"})
	refused := func(what string, do func(context.Context) error) {
		t.Helper()
		cluster.Eventually(t, limit, what, func(ctx context.Context) error {
			err := do(ctx)
			var answer *api.ResponseError
			if errors.As(err, &answer) && answer.StatusCode < 500 && answer.StatusCode != http.StatusConflict {
				return nil
			}
			return fmt.Errorf("the answer was %w", err)
		})
	}
	refused("no login by a hidden method", func(ctx context.Context) error { _, err := login(ctx, "out"); return err })
	refused("the tokens of a hidden method are gone", func(ctx context.Context) error {
		c := eu.Node(0).Anonymous()
		c.SetToken(tokens["out"])
		_, err := c.Auth().Token().LookupSelfWithContext(ctx)
		return err
	})
	_, err := login(t.Context(), "in")
	require.NoError(t, err)
	c := eu.Node(0).Anonymous()
	c.SetToken(tokens["in"])
	_, err = c.Auth().Token().LookupSelfWithContext(t.Context())
	require.NoError(t, err)

	put(t, us, "sys/mounts/later", map[string]any{"type": "kv"})
	put(t, us, "sys/auth/later", map[string]any{"type": "userpass"})
	put(t, us, "in/a", map[string]any{"v": "two"})
	eventually(t, eu, "in/a", "v", "two")
	hidden := []any{"auth/later/", "auth/out/", "later/", "out/"}
	for c, side := range map[*cluster.Cluster]string{us: "primary", eu: "secondary"} {
		list, err := client(c).ReadWithContext(t.Context(), cluster.PathPerformance+side+"/dynamic-filter/west")
		require.NoError(t, err)
		require.Equal(t, hidden, list.Data["dynamic_filtered_mounts"], side)
	}
	mounts, err := eu.Node(0).APIClient().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	require.Contains(t, mounts, "in/")
	methods, err := eu.Node(0).APIClient().Sys().ListAuthWithContext(t.Context())
	require.NoError(t, err)
	require.Contains(t, methods, "in/")
	for _, name := range []string{"out/", "later/"} {
		require.NotContains(t, mounts, name)
		require.NotContains(t, methods, name)
	}

	put(t, us, path, map[string]any{"mode": "allow", "paths": "in/,out/,later/,auth/in/,auth/out/"})
	eventually(t, eu, "out/a", "v", "one")
	cluster.Eventually(t, limit, "a login by a method that is allowed again", func(ctx context.Context) error {
		_, err := login(ctx, "out")
		return err
	})
	put(t, eu, "later/a", map[string]any{"v": "new"})
	eventually(t, us, "later/a", "v", "new")
}
