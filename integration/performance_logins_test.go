// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A secret id that is good for one login is good for one on all clusters together.
func TestLimitedSecretIDIsUsedOnceOnAllClusters(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	put(t, primary, "sys/auth/approle", map[string]any{"type": "approle"})
	put(t, primary, "auth/approle/role/app", map[string]any{"secret_id_num_uses": 1, "token_policies": "default"})
	role := fmt.Sprint(read(t, primary, "auth/approle/role/app/role-id").Data["role_id"])
	login := func(ctx context.Context, c *cluster.Cluster, id string) error {
		_, err := client(c).WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": role, "secret_id": id})
		return err
	}
	for name, order := range map[string][]*cluster.Cluster{
		"secondary first": {secondary, primary, secondary},
		"primary first":   {primary, secondary, primary},
	} {
		var id string
		cluster.Eventually(t, limit, "the secondary has the role", func(ctx context.Context) error {
			secret, err := client(order[0]).WriteWithContext(ctx, "auth/approle/role/app/secret-id", nil)
			if err == nil {
				id = fmt.Sprint(secret.Data["secret_id"])
			}
			return err
		})
		require.NoError(t, login(t.Context(), order[0], id), name)
		require.NoError(t, secondary.WaitCaughtUp(t.Context(), primary))
		for _, again := range order[1:] {
			var answer *api.ResponseError
			require.ErrorAs(t, login(t.Context(), again, id), &answer, name)
			require.Less(t, answer.StatusCode, 500, name)
		}
	}
	// Of many attempts at once, on both sides, one succeeds.
	id := fmt.Sprint(put(t, secondary, "auth/approle/role/app/secret-id", nil).Data["secret_id"])
	results := make(chan error)
	const attempts = 8
	for i := range attempts {
		go func() { results <- login(t.Context(), []*cluster.Cluster{primary, secondary}[i%2], id) }()
	}
	successes := 0
	for range attempts {
		if <-results == nil {
			successes++
		}
	}
	require.Equal(t, 1, successes)
}

// A second factor that is set up on the primary is asked for on the secondary.
func TestSecondFactorOnASecondary(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	put(t, primary, "sys/auth/userpass", map[string]any{"type": "userpass"})
	put(t, primary, "auth/userpass/users/ann", map[string]any{"password": "secret"})
	var entity string
	login := func(ctx context.Context) (*api.Secret, error) {
		return client(secondary).WriteWithContext(ctx, "auth/userpass/login/ann", map[string]any{"password": "secret"})
	}
	cluster.Eventually(t, limit, "a login without a second factor", func(ctx context.Context) error {
		secret, err := login(ctx)
		if err == nil {
			entity = secret.Auth.EntityID
		}
		return err
	})
	accessor := fmt.Sprint(read(t, primary, "sys/auth/userpass").Data["accessor"])
	method := fmt.Sprint(put(t, primary, "identity/mfa/method/totp",
		map[string]any{"issuer": "test", "period": 30}).Data["method_id"])
	key := put(t, primary, "identity/mfa/method/totp/admin-generate",
		map[string]any{"method_id": method, "entity_id": entity})
	put(t, primary, "identity/mfa/login-enforcement/all", map[string]any{"mfa_method_ids": []string{method},
		"auth_method_accessors": []string{accessor}})
	address, err := url.Parse(fmt.Sprint(key.Data["url"]))
	require.NoError(t, err)

	var request string
	cluster.Eventually(t, limit, "the secondary asks for a second factor", func(ctx context.Context) error {
		secret, err := login(ctx)
		if err != nil {
			return err
		}
		if secret.Auth.MFARequirement == nil {
			return errors.New("the login needed none")
		}
		request = secret.Auth.MFARequirement.MFARequestID
		return nil
	})
	validate := func(code string) (*api.Secret, error) {
		return secondary.Node(0).Anonymous().Logical().WriteWithContext(t.Context(), "sys/mfa/validate", map[string]any{
			"mfa_request_id": request, "mfa_payload": map[string]any{method: []string{code}},
		})
	}
	_, err = validate("000000")
	var answer *api.ResponseError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, 403, answer.StatusCode)
	code, err := totp.GenerateCode(address.Query().Get("secret"), time.Now())
	require.NoError(t, err)
	secret, err := validate(code)
	require.NoError(t, err)
	require.Equal(t, entity, secret.Auth.EntityID)
	c := secondary.Node(0).Anonymous()
	c.SetToken(secret.Auth.ClientToken)
	_, err = c.Auth().Token().LookupSelfWithContext(t.Context())
	require.NoError(t, err)
}

// A batch token without a parent is good on every cluster of the set; a service
// token on the one that gave it out.
func TestTokensAcrossClusters(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	put(t, primary, "kv/a", map[string]any{"v": "one"})
	require.NoError(t, primary.Node(0).APIClient().Sys().PutPolicyWithContext(t.Context(), "reader",
		`path "kv/*" { capabilities = ["read"] }`))
	eventually(t, secondary, "sys/policies/acl/reader", "name", "reader")
	eventually(t, secondary, "kv/a", "v", "one")
	all := []*cluster.Cluster{primary, secondary}
	for i, at := range all {
		other := all[1-i]
		for kind, everywhere := range map[string]bool{"batch": true, "service": false} {
			token := put(t, at, "auth/token/create-orphan", map[string]any{"type": kind, "policies": "reader",
				"ttl": "10m"}).Auth.ClientToken
			for _, c := range all {
				reader := c.Node(0).Anonymous()
				reader.SetToken(token)
				secret, err := reader.Logical().ReadWithContext(t.Context(), "kv/a")
				if c == other && !everywhere {
					var answer *api.ResponseError
					require.ErrorAs(t, err, &answer)
					require.Equal(t, 403, answer.StatusCode)
					continue
				}
				require.NoError(t, err, kind)
				require.Equal(t, "one", secret.Data["v"])
			}
		}
	}
}

func read(t *testing.T, c *cluster.Cluster, path string) *api.Secret {
	t.Helper()
	secret, err := client(c).ReadWithContext(t.Context(), path)
	require.NoError(t, err, path)
	require.NotNil(t, secret, path)
	return secret
}
