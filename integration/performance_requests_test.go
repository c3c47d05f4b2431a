// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// What a client says with a request, beside what it asks for, means the same when the
// primary carries it out.
func TestRequestsKeepTheirMeaningOnTheWay(t *testing.T) {
	parallel(t)
	plugins := t.TempDir()
	sum := buildExternalPlugin(t, filepath.Join(plugins, "externalplugin"))
	primary, secondary := clusters(t, cluster.Options{ExtraHCL: fmt.Sprintf("plugin_directory = %q", plugins)})
	put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
	put(t, primary, "sys/mounts/out", map[string]any{"type": "outside", "config": map[string]any{
		"passthrough_request_headers": []string{"X-Sent"}, "allowed_response_headers": []string{"X-Answered"},
	}})
	put(t, primary, "sys/mounts/kv", map[string]any{"type": "kv"})
	put(t, primary, "sys/mounts/v2", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	put(t, primary, "sys/auth/userpass", map[string]any{"type": "userpass"})
	put(t, primary, "sys/auth/approle", map[string]any{"type": "approle"})
	require.NoError(t, primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, secondary.JoinPerformance(t.Context(), primary, "west"))

	t.Run("headers", func(t *testing.T) {
		c := secondary.Node(0).APIClient()
		c.AddHeader("X-Sent", "by the client")
		resp := post(t, c, "out/headers/a", `{}`, http.StatusOK)
		require.Equal(t, "by the client", resp.Header.Get("X-Answered"))
		require.Empty(t, resp.Header.Get("X-Kept"), "no header goes out that the mount does not allow")
		eventually(t, primary, "out/entries/a", "value", "with a header")
	})
	t.Run("time of a wrapped answer", func(t *testing.T) {
		put(t, secondary, "auth/approle/role/wrapped", map[string]any{"token_policies": "default"})
		c := secondary.Node(0).APIClient()
		c.SetWrappingLookupFunc(func(string, string) string { return "2m" })
		wrapped := write(t, c, "auth/approle/role/wrapped/secret-id", nil)
		require.NotNil(t, wrapped.WrapInfo)
		require.Equal(t, 120, wrapped.WrapInfo.TTL)
		require.Equal(t, "auth/approle/role/wrapped/secret-id", wrapped.WrapInfo.CreationPath)
		_, err := unwrap(t, primary, wrapped.WrapInfo.Token)
		require.Error(t, err, "the secondary wrapped it")
		secret, err := unwrap(t, secondary, wrapped.WrapInfo.Token)
		require.NoError(t, err)
		require.NotEmpty(t, secret.Data["secret_id"])
		refused(t, func() error { _, err := unwrap(t, secondary, wrapped.WrapInfo.Token); return err }, 400)
	})
	t.Run("metadata and large numbers", func(t *testing.T) {
		put(t, secondary, "v2/metadata/a", map[string]any{"custom_metadata": map[string]any{"owner": "west"}})
		eventually(t, primary, "v2/metadata/a", "custom_metadata", "map[owner:west]")
		post(t, secondary.Node(0).APIClient(), "kv/n", `{"n":9007199254740993}`, http.StatusNoContent)
		require.Equal(t, json.Number("9007199254740993"), read(t, primary, "kv/n").Data["n"])
		require.Equal(t, json.Number("9007199254740993"), read(t, secondary, "kv/n").Data["n"])
	})
	t.Run("a text like Vault's own", func(t *testing.T) {
		// Neither side takes it for a write that it could not make.
		put(t, secondary, "kv/odd", map[string]any{"error": logical.ErrReadOnly.Error(), "more": "a", "other": "b"})
		require.Equal(t, read(t, primary, "kv/odd").Data, read(t, secondary, "kv/odd").Data)
	})
	t.Run("address of the client", func(t *testing.T) { addressBinds(t, secondary) })
	t.Run("locked user", func(t *testing.T) { userIsLocked(t, primary, secondary) })
	t.Run("size", func(t *testing.T) {
		// Larger than one entry of the primary's storage: its own answer comes back.
		on := func(c *cluster.Cluster) string {
			_, err := client(c).WriteBytesWithContext(t.Context(), "kv/large", ofSize(2))
			var answer *api.ResponseError
			require.ErrorAs(t, err, &answer)
			require.ErrorContains(t, err, "too large")
			return fmt.Sprint(answer.StatusCode, answer.Errors)
		}
		require.Equal(t, on(primary), on(secondary))
		// Larger than a listener takes: it gets no further.
		post(t, secondary.Node(0).APIClient(), "kv/larger", string(ofSize(48)), http.StatusRequestEntityTooLarge)
		for _, c := range []*cluster.Cluster{primary, secondary} {
			for _, path := range []string{"kv/large", "kv/larger"} {
				secret, err := client(c).ReadWithContext(t.Context(), path)
				require.NoError(t, err)
				require.Nil(t, secret, path)
			}
		}
	})
}

// addressBinds shows that the primary, which sees the secondary's address alone,
// judges a login by the client's.
func addressBinds(t *testing.T, secondary *cluster.Cluster) {
	near, far := from(t, secondary.Node(0), "127.0.0.2"), from(t, secondary.Node(0), "127.0.0.1")
	const only = "127.0.0.2/32"
	put(t, secondary, "auth/userpass/users/near", map[string]any{"password": "secret", "token_bound_cidrs": only})
	password := map[string]any{"password": "secret"}
	refused(t, func() error { _, err := far.Logical().Write("auth/userpass/login/near", password); return err }, 403)
	login := write(t, near, "auth/userpass/login/near", password)
	near.SetToken(login.Auth.ClientToken)
	far.SetToken(login.Auth.ClientToken)
	_, err := near.Auth().Token().LookupSelf()
	require.NoError(t, err)
	refused(t, func() error { _, err := far.Auth().Token().LookupSelf(); return err }, 403)

	// Each login uses a secret id up, and so the primary is asked.
	put(t, secondary, "auth/approle/role/near", map[string]any{"secret_id_bound_cidrs": only, "secret_id_num_uses": 1})
	role := fmt.Sprint(read(t, secondary, "auth/approle/role/near/role-id").Data["role_id"])
	id := func() map[string]any {
		secret := put(t, secondary, "auth/approle/role/near/secret-id", nil)
		return map[string]any{"role_id": role, "secret_id": secret.Data["secret_id"]}
	}
	refused(t, func() error { _, err := far.Logical().Write("auth/approle/login", id()); return err }, 400, 403, 500)
	require.NotEmpty(t, write(t, near, "auth/approle/login", id()).Auth.ClientToken)
}

// userIsLocked shows that each cluster locks users out for itself.
func userIsLocked(t *testing.T, primary, secondary *cluster.Cluster) {
	put(t, secondary, "auth/userpass/users/ann", map[string]any{"password": "secret"})
	login := func(c *cluster.Cluster, password string) error {
		_, err := client(c).Write("auth/userpass/login/ann", map[string]any{"password": password})
		return err
	}
	require.NoError(t, login(secondary, "secret"))
	for range 5 {
		refused(t, func() error { return login(secondary, "wrong") }, 400)
	}
	refused(t, func() error { return login(secondary, "secret") }, 403)
	require.NoError(t, login(primary, "secret"), "the primary has locked nobody")
	locked := func(c *cluster.Cluster) string { return fmt.Sprint(read(t, c, "sys/locked-users").Data["total"]) }
	require.Equal(t, "1", locked(secondary))
	require.Equal(t, "0", locked(primary))
	accessor := fmt.Sprint(read(t, secondary, "sys/auth/userpass").Data["accessor"])
	put(t, secondary, "sys/locked-users/"+accessor+"/unlock/ann", nil)
	require.NoError(t, login(secondary, "secret"))
}

// from is a client whose connections come from an address.
func from(t *testing.T, n *cluster.Node, address string) *api.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   n.TLSConfig(),
		ForceAttemptHTTP2: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	config := api.DefaultConfig()
	config.Address, config.MaxRetries, config.HttpClient = n.Address(), 0, &http.Client{Transport: transport}
	c, err := api.NewClient(config)
	require.NoError(t, err)
	c.ClearToken()
	return c
}

// post sends a body as it is.
func post(t *testing.T, c *api.Client, path, body string, want int) *api.Response {
	t.Helper()
	r := c.NewRequest(http.MethodPost, "/v1/"+path)
	r.BodyBytes = []byte(body)
	resp, err := c.RawRequestWithContext(t.Context(), r) //nolint:staticcheck // the one that takes bytes
	require.NotNil(t, resp, "%v", err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, want, resp.StatusCode, "%s: %v", path, err)
	return resp
}

// ofSize is a secret with so many values of 700 KiB, which is near what Vault takes of
// one text.
func ofSize(values int) []byte {
	secret := map[string]string{}
	for i := range values {
		secret[fmt.Sprint("v", i)] = strings.Repeat("x", 700<<10)
	}
	raw, _ := json.Marshal(secret) //nolint:errchkjson // texts
	return raw
}

// refused says that a call is refused with one of these statuses.
func refused(t *testing.T, call func() error, statuses ...int) {
	t.Helper()
	var answer *api.ResponseError
	require.ErrorAs(t, call(), &answer)
	require.Contains(t, statuses, answer.StatusCode, "%v", answer)
}
