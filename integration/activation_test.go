// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// enableCase is a call of secondary/enable that must fail.
type enableCase struct {
	name string
	// params are made from a fresh activation token.
	params func(t *testing.T, primary *cluster.Cluster, token string) map[string]any
	// wrong is in the error text, in lower case.
	wrong string
}

var enableCases = []enableCase{
	{"no token", with(func(*testing.T, *cluster.Cluster, string) map[string]any { return map[string]any{} }), "token"},
	{"not a token", tokenIs(func(string) string { return "nonsense" }), "token"},
	{"truncated token", tokenIs(func(token string) string { return token[:len(token)/2] }), "token"},
	{"token without signature", tokenIs(func(token string) string { return token[:strings.LastIndex(token, ".")+1] }),
		"token"},
	{"wrongly signed token", tokenIs(func(token string) string {
		parts := strings.Split(token, ".")
		signature := []byte(parts[2])
		signature[10] = 'A' + (signature[10]-'A'+1)%26
		return parts[0] + "." + parts[1] + "." + string(signature)
	}), "token"},
	{"token edited to another address", editClaims(func(claims map[string]any) { claims["addr"] = "https://127.0.0.1:1" }),
		"127.0.0.1:1"},
	{"token edited to plain HTTP", editClaims(func(claims map[string]any) {
		claims["addr"] = strings.Replace(claims["addr"].(string), "https://", "http://", 1)
	}), "http"},
	{"token of another type", editClaims(func(claims map[string]any) { claims["type"] = "other" }), "type"},
	{"token that has expired by its own word", editClaims(func(claims map[string]any) { claims["exp"] = 1000 }),
		"expired"},
	{"CA of somebody else", with(func(t *testing.T, _ *cluster.Cluster, token string) map[string]any {
		return map[string]any{"token": token, "ca_file": cluster.NewTestCA(t).File}
	}), "certificate"},
	{"no CA at all", with(func(_ *testing.T, _ *cluster.Cluster, token string) map[string]any {
		return map[string]any{"token": token}
	}), "certificate"},
	{"missing ca_file", with(func(t *testing.T, _ *cluster.Cluster, token string) map[string]any {
		return map[string]any{"token": token, "ca_file": artifact(t, "missing.pem")}
	}), "ca_file or ca_path cannot be used"},
	{"ca_file that is none", with(func(t *testing.T, _ *cluster.Cluster, token string) map[string]any {
		file := artifact(t, "text.pem")
		require.NoError(t, os.WriteFile(file, []byte("hello"), 0o600))
		return map[string]any{"token": token, "ca_file": file}
	}), "ca_file or ca_path cannot be used"},
	{"unreachable address", with(func(_ *testing.T, p *cluster.Cluster, token string) map[string]any {
		return map[string]any{"token": token, "ca_file": p.GetCACertPEMFile(), "primary_api_addr": "https://127.0.0.1:1"}
	}), "127.0.0.1:1"},
	{"wrapped answer that is no activation bundle", with(func(t *testing.T, p *cluster.Cluster, _ string) map[string]any {
		client := p.Node(0).APIClient()
		client.SetWrappingLookupFunc(func(string, string) string { return "5m" })
		secret, err := client.Logical().Read("sys/mounts")
		require.NoError(t, err)
		return map[string]any{"token": secret.WrapInfo.Token, "ca_file": p.GetCACertPEMFile(),
			"primary_api_addr": p.Node(0).Address()}
	}), ""},
}

type paramsFunc = func(*testing.T, *cluster.Cluster, string) map[string]any

func with(f paramsFunc) paramsFunc { return f }

func tokenIs(change func(string) string) paramsFunc {
	return func(_ *testing.T, p *cluster.Cluster, token string) map[string]any {
		return map[string]any{"token": change(token), "ca_file": p.GetCACertPEMFile()}
	}
}

func editClaims(edit func(map[string]any)) paramsFunc {
	return func(t *testing.T, p *cluster.Cluster, token string) map[string]any {
		parts := strings.Split(token, ".")
		require.Len(t, parts, 3)
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		require.NoError(t, err)
		var claims map[string]any
		require.NoError(t, json.Unmarshal(raw, &claims))
		edit(claims)
		raw, err = json.Marshal(claims)
		require.NoError(t, err)
		parts[1] = base64.RawURLEncoding.EncodeToString(raw)
		return map[string]any{"token": strings.Join(parts, "."), "ca_file": p.GetCACertPEMFile()}
	}
}

// A bad activation is refused with a sentence that names what is wrong. The cluster that
// was to become a secondary is unchanged.
func TestBadActivationChangesNothing(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, target := clusters(t, cluster.Options{})
	require.NoError(t, primary.EnableDRPrimary(ctx))
	_, err := target.Node(0).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/mine", map[string]any{"still": "here"})
	require.NoError(t, err)

	for _, c := range enableCases {
		t.Run(c.name, func(t *testing.T) {
			token, err := primary.ActivationToken(ctx, strings.ReplaceAll(c.name, " ", "-"))
			require.NoError(t, err)
			requireRefused(t, target, cluster.PathSecondaryEnable, c.params(t, primary, token), c.wrong)
			requireUntouched(t, target)
		})
	}

	t.Run("token that has expired", func(t *testing.T) {
		secret, err := primary.Node(0).APIClient().Logical().Write(cluster.PathSecondaryToken,
			map[string]any{"id": "late", "ttl": "1s"})
		require.NoError(t, err)
		cluster.Eventually(t, limit, "the wrapping token is gone", func(ctx context.Context) error {
			_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "auth/token/lookup-accessor",
				map[string]any{"accessor": secret.WrapInfo.Accessor})
			if err == nil {
				return errors.New("it is still there")
			}
			return nil
		})
		requireRefused(t, target, cluster.PathSecondaryEnable,
			map[string]any{"token": secret.WrapInfo.Token, "ca_file": primary.GetCACertPEMFile()}, "token")
		requireUntouched(t, target)
	})

	t.Run("primary twice", func(t *testing.T) {
		requireRefused(t, primary, cluster.PathPrimaryEnable, nil, "primary")
	})
	t.Run("secondary on a primary", func(t *testing.T) {
		token, err := primary.ActivationToken(ctx, "self")
		require.NoError(t, err)
		params := map[string]any{"token": token, "ca_file": primary.GetCACertPEMFile()}
		requireRefused(t, primary, cluster.PathSecondaryEnable, params, "primary")
		// The refusal came before the token was spent: it still works elsewhere.
		_, err = target.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathSecondaryEnable, params)
		require.NoError(t, err)
		target.Adopt(primary)
		require.NoError(t, target.Node(0).WaitRole(ctx, "secondary"))
		require.NoError(t, target.Node(0).WaitStreaming(ctx))

		// Now it is used.
		third := cluster.New(t, cluster.Options{Name: "third", Binary: product(t), CA: target.Options().CA})
		requireRefused(t, third, cluster.PathSecondaryEnable, params, "token")
		requireRefused(t, target, cluster.PathSecondaryEnable, params, "")
		require.NoError(t, target.WaitEqual(ctx, primary))
		requireRefused(t, primary, cluster.PathSecondaryToken, map[string]any{"id": "self"}, "is connected")
	})
}

// requireRefused asserts a client error, or one that names another cluster as
// the cause, with the words in its text.
func requireRefused(t *testing.T, c *cluster.Cluster, path string, params map[string]any, words string) {
	t.Helper()
	_, err := c.Node(0).APIClient().Logical().WriteWithContext(t.Context(), path, params)
	var response *api.ResponseError
	require.ErrorAs(t, err, &response)
	require.Contains(t, []int{400, 403, 502}, response.StatusCode, "%v", response)
	require.Contains(t, strings.ToLower(strings.Join(response.Errors, " ")), words)
}

func requireUntouched(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	status, err := c.Node(0).DRStatus(t.Context())
	require.NoError(t, err)
	require.Equal(t, "disabled", status.Mode)
	secret, err := c.Node(0).APIClient().Logical().ReadWithContext(t.Context(), "cubbyhole/mine")
	require.NoError(t, err)
	require.Equal(t, "here", secret.Data["still"])
}
