// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

func TestFollowMounts(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()

	p.write("sys/mounts/a", map[string]any{"type": "kv"})
	p.write("a/x", map[string]any{"v": "1"})
	require.Equal(t, "1", p.read("a/x")["v"])

	// Tuned: the router's entry, the system view and the listing see it.
	p.write("sys/mounts/a/tune", map[string]any{"max_lease_ttl": "61m", "description": "tuned",
		"audit_non_hmac_request_keys": "v"})
	tuned := p.read("sys/mounts/a/tune")
	require.EqualValues(t, 3660, tuned["max_lease_ttl"])
	require.Equal(t, "tuned", tuned["description"])
	require.Equal(t, []string{"v"}, tuned["audit_non_hmac_request_keys"])

	p.write("sys/remount", map[string]any{"from": "a", "to": "b"})
	require.Eventually(t, func() bool {
		p.sync()
		resp, err := p.ask(logical.ReadOperation, "b/x", p.root, nil)
		return err == nil && resp != nil
	}, waitLong, tick)
	_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
	require.ErrorIs(t, err, logical.ErrUnsupportedPath)

	p.do(logical.DeleteOperation, "sys/mounts/b", nil)
	_, err = p.ask(logical.ReadOperation, "b/x", p.root, nil)
	require.ErrorIs(t, err, logical.ErrUnsupportedPath)
	require.NotContains(t, p.read("sys/mounts"), "b/")

	// The same path again is another mount.
	p.write("sys/mounts/b", map[string]any{"type": "kv"})
	resp, err := p.ask(logical.ReadOperation, "b/x", p.root, nil)
	require.NoError(t, err)
	require.Nil(t, resp)
	require.Empty(t, p.follower.Lacks())
	requireNoTableWrites(t, p)
}

// Two mounts that trade places, in one batch, have their own content at the other's
// path.
func TestFollowMountsThatTradePlaces(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) {
		for _, name := range []string{"a", "b"} {
			p.prepare("sys/mounts/"+name, map[string]any{"type": "kv"})
			p.prepare(name+"/x", map[string]any{"v": name})
		}
	}).open()
	for _, m := range [][2]string{{"a", "between"}, {"b", "a"}, {"between", "b"}} {
		_, err := request(p.primary, logical.UpdateOperation, "sys/remount", p.root, map[string]any{"from": m[0], "to": m[1]})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			resp, err := request(p.primary, logical.ReadOperation, m[1]+"/x", p.root, nil)
			return err == nil && resp != nil
		}, waitLong, tick)
	}
	p.syncAtOnce()
	require.Equal(t, "b", p.read("a/x")["v"])
	require.Equal(t, "a", p.read("b/x")["v"])
	require.NotContains(t, p.read("sys/mounts"), "between/")
	require.Empty(t, p.follower.Lacks())
	for _, name := range []string{"a", "b"} {
		p.write(name+"/x", map[string]any{"v": name})
		require.Equal(t, name, p.read(name + "/x")["v"], "changes reach the mount at its new path")
	}
	requireNoTableWrites(t, p)
}

// requireNoTableWrites checks that following wrote no table of the primary.
func requireNoTableWrites(t *testing.T, p *pair) {
	t.Helper()
	for _, key := range p.to.refusals() {
		require.NotContains(t, []string{vaultname.Mounts, vaultname.Auth, vaultname.Audit}, key)
	}
}

func TestFollowLeasesOfAnUnmount(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) {
		p.prepare("sys/mounts/leased", map[string]any{"type": "kv", "options": map[string]any{"leased_passthrough": "true"}})
		p.prepare("leased/x", map[string]any{"v": "1", "ttl": "1h"})
	}).open()
	resp, err := p.ask(logical.ReadOperation, "leased/x", p.root, nil)
	require.NoError(t, err)
	require.NotEmpty(t, resp.Secret.LeaseID)
	lease := resp.Secret.LeaseID
	ctx := namespace.RootContext(context.Background())
	exp := *pinned.Field[*vault.ExpirationManager](p.secondary.Core, "expiration")
	times, err := exp.FetchLeaseTimes(ctx, lease)
	require.NoError(t, err)
	require.NotNil(t, times)

	p.do(logical.DeleteOperation, "sys/mounts/leased", nil)
	times, err = exp.FetchLeaseTimes(ctx, lease)
	require.NoError(t, err)
	require.Nil(t, times, "a lease of a mount that is gone could never be revoked")
}

func TestFollowAuth(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	p.write("sys/auth/userpass", map[string]any{"type": "userpass"})
	p.write("sys/auth/userpass/tune", map[string]any{"token_type": "batch"})
	p.write("auth/userpass/users/u", map[string]any{"password": "p", "policies": "one"})
	// The entity is made on the primary; that a login needs it is not what is
	// tested here.
	_, err := request(p.primary, logical.UpdateOperation, "auth/userpass/login/u", "", map[string]any{"password": "p"})
	require.NoError(t, err)
	p.sync()
	resp, err := p.ask(logical.UpdateOperation, "auth/userpass/login/u", "", map[string]any{"password": "p"})
	require.NoError(t, err)
	require.Equal(t, logical.TokenTypeBatch, resp.Auth.TokenType)
	require.Contains(t, resp.Auth.Policies, "one")

	p.do(logical.DeleteOperation, "sys/auth/userpass", nil)
	_, err = p.ask(logical.UpdateOperation, "auth/userpass/login/u", "", map[string]any{"password": "p"})
	require.Error(t, err)
	require.NotContains(t, p.read("sys/auth"), "userpass/")
	require.Empty(t, p.follower.Lacks())
}

func TestFollowPolicies(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) {
		p.prepare("sys/mounts/a", map[string]any{"type": "kv"})
		p.prepare("a/x", map[string]any{"v": "1"})
	}).open()
	resp, err := request(p.secondary, logical.UpdateOperation, "auth/token/create", p.root,
		map[string]any{"policies": []string{"reader"}, "no_default_policy": true})
	require.NoError(t, err)
	token := resp.Auth.ClientToken
	may := func() bool {
		_, err := p.ask(logical.ReadOperation, "a/x", token, nil)
		return err == nil
	}
	require.False(t, may())
	p.write("sys/policy/reader", map[string]any{"policy": `path "a/*" { capabilities = ["read"] }`})
	require.True(t, may())
	p.write("sys/policy/reader", map[string]any{"policy": `path "b/*" { capabilities = ["read"] }`})
	require.False(t, may())
	p.write("sys/policy/reader", map[string]any{"policy": `path "a/*" { capabilities = ["read"] }`})
	require.True(t, may())
	p.do(logical.DeleteOperation, "sys/policy/reader", nil)
	require.False(t, may())
}

func TestFollowIdentityAndOIDC(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	entity := p.write("identity/entity", map[string]any{"name": "alice"})
	id := entity.Data["id"].(string)
	require.Equal(t, "alice", p.read("identity/entity/id/" + id)["name"])
	p.write("identity/group", map[string]any{"name": "g", "member_entity_ids": id})
	require.Equal(t, []string{id}, p.read("identity/group/name/g")["member_entity_ids"])
	p.do(logical.DeleteOperation, "identity/entity/id/"+id, nil)
	resp, err := p.ask(logical.ReadOperation, "identity/entity/id/"+id, p.root, nil)
	require.NoError(t, err)
	require.Nil(t, resp)

	require.NotEqual(t, "https://one:1/v1/identity/oidc", p.read("identity/oidc/config")["issuer"])
	p.write("identity/oidc/config", map[string]any{"issuer": "https://one:1"})
	require.Equal(t, "https://one:1", p.read("identity/oidc/config")["issuer"])
	p.write("identity/oidc/key/k", map[string]any{"allowed_client_ids": "*"})
	p.write("identity/oidc/client/c", map[string]any{"key": "k", "redirect_uris": "http://a"})
	require.Equal(t, []string{"http://a"}, p.read("identity/oidc/client/c")["redirect_uris"])
	p.write("identity/oidc/client/c", map[string]any{"redirect_uris": "http://b"})
	require.Equal(t, []string{"http://b"}, p.read("identity/oidc/client/c")["redirect_uris"])
}

func TestFollowSystem(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()

	p.write("sys/quotas/rate-limit/q", map[string]any{"rate": 7})
	require.EqualValues(t, 7, p.read("sys/quotas/rate-limit/q")["rate"])
	p.do(logical.DeleteOperation, "sys/quotas/rate-limit/q", nil)
	resp, err := p.ask(logical.ReadOperation, "sys/quotas/rate-limit/q", p.root, nil)
	require.NoError(t, err)
	require.Nil(t, resp)
	p.write("sys/quotas/config", map[string]any{"enable_rate_limit_response_headers": true})
	require.Equal(t, true, p.read("sys/quotas/config")["enable_rate_limit_response_headers"])

	p.write("sys/config/cors", map[string]any{"allowed_origins": "http://a"})
	require.True(t, p.secondary.CORSConfig().IsEnabled())
	require.True(t, p.secondary.CORSConfig().IsValidOrigin("http://a"))
	require.False(t, p.secondary.CORSConfig().IsValidOrigin("http://b"))
	p.do(logical.DeleteOperation, "sys/config/cors", nil)
	require.False(t, p.secondary.CORSConfig().IsEnabled())

	ctx := context.Background()
	ui := *pinned.Field[*vault.UIConfig](p.secondary.Core, "uiConfig")
	p.write("sys/config/ui/headers/X-Test", map[string]any{"values": []string{"one"}})
	headers, err := ui.Headers(ctx)
	require.NoError(t, err, "the plain copy must be the one that Vault compares with")
	require.Equal(t, "one", headers.Get("X-Test"))
	p.do(logical.DeleteOperation, "sys/config/ui/headers/X-Test", nil)
	headers, err = ui.Headers(ctx)
	require.NoError(t, err)
	require.Empty(t, headers.Get("X-Test"))

	p.write("sys/config/auditing/request-headers/X-Seen", map[string]any{"hmac": false})
	require.Contains(t, p.read("sys/config/auditing/request-headers/x-seen"), "x-seen")

	p.write("sys/policies/password/pw", map[string]any{"policy": "length = 20\nrule \"charset\" { charset = \"ab\" }"})
	require.Contains(t, p.read("sys/policies/password/pw")["policy"], "length = 20")

	p.write("auth/token/roles/r", map[string]any{"allowed_policies": "x"})
	require.Equal(t, "r", p.read("auth/token/roles/r")["name"])
	require.Empty(t, p.follower.Lacks())
}

func TestFollowLoginMFA(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	p.write("sys/auth/userpass", map[string]any{"type": "userpass"})
	method := p.write("identity/mfa/method/totp", map[string]any{"issuer": "us"}).Data["method_id"].(string)
	require.Equal(t, "us", p.read("identity/mfa/method/totp/" + method)["issuer"])
	p.write("identity/mfa/login-enforcement/e", map[string]any{"mfa_method_ids": method, "auth_method_types": "userpass"})
	require.Equal(t, []string{method}, p.read("identity/mfa/login-enforcement/e")["mfa_method_ids"])
	p.do(logical.DeleteOperation, "identity/mfa/login-enforcement/e", nil)
	resp, err := p.ask(logical.ReadOperation, "identity/mfa/login-enforcement/e", p.root, nil)
	require.NoError(t, err)
	require.Nil(t, resp)
	p.do(logical.DeleteOperation, "identity/mfa/method/totp/"+method, nil)
	resp, err = p.ask(logical.ReadOperation, "identity/mfa/method/totp/"+method, p.root, nil)
	require.NoError(t, err)
	require.Nil(t, resp)
}

func TestFollowAuditDevice(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	file := filepath.Join(t.TempDir(), "audit.log")
	// Each core opens the path that the primary has; here they share the file.
	p.write("sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": file}})
	p.write("sys/policy/salted", map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
	broker := brokerOf(p.secondary)
	require.True(t, broker.IsRegistered("file/"))
	hash := func(c *Core) string {
		text, err := (brokerOf(c)).GetHash(context.Background(), "file/", "input")
		require.NoError(t, err)
		return text
	}
	require.Equal(t, hash(p.primary), hash(p.secondary), "both must log with the primary's salt")
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	p.read("sys/policy/salted")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Greater(t, len(after), len(before))

	p.do(logical.DeleteOperation, "sys/audit/file", nil)
	require.False(t, broker.IsRegistered("file/"))
	require.Empty(t, p.follower.Lacks())
	requireNoTableWrites(t, p)
}

func TestFollowTransit(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	p.write("sys/mounts/transit", map[string]any{"type": "transit"})
	p.write("transit/keys/k", nil)
	plain := base64.StdEncoding.EncodeToString([]byte("secret"))
	encrypt := func() string {
		resp, err := p.ask(logical.UpdateOperation, "transit/encrypt/k", p.root, map[string]any{"plaintext": plain})
		require.NoError(t, err)
		return resp.Data["ciphertext"].(string)
	}
	require.Contains(t, encrypt(), "vault:v1:")
	p.write("transit/keys/k/rotate", nil)
	require.Contains(t, encrypt(), "vault:v2:", "the key is cached by the engine")
}

func TestFollowVersionedKV(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	// The primary says that a new one is ready a moment after it was mounted.
	p.write("sys/mounts/new", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := request(p.primary, logical.CreateOperation, "new/data/x", p.root,
			map[string]any{"data": map[string]any{"v": "1"}})
		require.NoError(c, err)
		p.sync()
		resp, err := p.ask(logical.ReadOperation, "new/data/x", p.root, nil)
		require.NoError(c, err)
		require.NotNil(c, resp)
	}, waitLong, tick)

	p.write("sys/mounts/kv", map[string]any{"type": "kv"})
	p.write("kv/x", map[string]any{"v": "1"})
	require.Equal(t, "1", p.read("kv/x")["v"])
	p.write("sys/mounts/kv/tune", map[string]any{"options": map[string]any{"version": "2"}})
	require.Eventually(t, func() bool {
		p.sync()
		resp, err := p.ask(logical.ReadOperation, "kv/data/x", p.root, nil)
		return err == nil && resp != nil && resp.Data["data"].(map[string]any)["v"] == "1"
	}, waitLong, tick)
}

func TestFollowRotation(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) { p.prepare("sys/mounts/a", map[string]any{"type": "kv"}) }).open()
	p.write("sys/rotate/config", map[string]any{"max_operations": 2000000, "interval": "48h"})
	_, err := request(p.primary, logical.UpdateOperation, "sys/rotate", p.root, nil)
	require.NoError(t, err)
	p.sync()
	require.NoError(t, p.secondary.ReloadKeys(context.Background()))
	p.write("a/x", map[string]any{"v": "1"})
	require.Equal(t, "1", p.read("a/x")["v"])
	require.EqualValues(t, 2000000, p.read("sys/rotate/config")["max_operations"])
	require.EqualValues(t, 2, p.read("sys/key-status")["term"])
}

// Two mounts at one path would keep the node sealed for ever.
func TestLocalMountInThePlaceOfASharedOne(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, nil).open()
	p.to.local = func(string) bool { return true }
	_, err := p.ask(logical.UpdateOperation, "sys/mounts/mine", p.root, map[string]any{"type": "kv", "local": true})
	require.NoError(t, err)
	_, err = p.ask(logical.UpdateOperation, "mine/x", p.root, map[string]any{"v": "local"})
	require.NoError(t, err)
	p.write("sys/mounts/mine", map[string]any{"type": "kv"})
	require.Len(t, p.follower.Lacks(), 1)
	require.Contains(t, p.follower.Lacks()[0], "mine/")
	require.Equal(t, "local", p.read("mine/x")["v"])

	p.secondary.HideMounts(p.hidden)
	require.NoError(t, p.secondary.Restart(context.Background(),
		func(context.Context) ([]byte, error) { return nil, nil }))
	require.Equal(t, "local", p.read("mine/x")["v"])

	_, err = p.ask(logical.DeleteOperation, "sys/mounts/mine", p.root, nil)
	require.NoError(t, err)
	p.recheck(func() bool {
		resp, err := p.ask(logical.ReadOperation, "mine/x", p.root, nil)
		return err == nil && resp == nil
	})
	require.Empty(t, p.follower.Lacks())
}

func TestHiddenMounts(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) { p.prepare("sys/mounts/a", map[string]any{"type": "kv"}) })
	p.secondary.HideMounts(func(table string, e mounttable.Entry) bool { return p.hidden(table, e) })
	p.hidden = func(_ string, e mounttable.Entry) bool { return e.Path == "a/" }
	p.open()
	_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
	require.ErrorIs(t, err, logical.ErrUnsupportedPath)
	p.hidden = func(string, mounttable.Entry) bool { return false }
	p.recheck(func() bool {
		_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
		return err == nil
	})
	p.hidden = func(_ string, e mounttable.Entry) bool { return e.Path == "a/" }
	p.recheck(func() bool {
		_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
		return errors.Is(err, logical.ErrUnsupportedPath)
	})
}

// A plugin that this secondary does not have must fail neither the unseal nor
// the following.
func TestMountOfAnAbsentPlugin(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) { p.prepare("sys/mounts/early", map[string]any{"type": "transit"}) })
	for _, absent := range []string{"transit", "pki"} {
		delete(*pinned.Field[map[string]logical.Factory](p.secondary.Core, "logicalBackends"), absent)
	}
	p.open()
	p.write("sys/mounts/late", map[string]any{"type": "pki"})
	require.Len(t, p.follower.Lacks(), 2)
	_, err := p.ask(logical.ReadOperation, "late/ca/pem", p.root, nil)
	require.ErrorIs(t, err, logical.ErrUnsupportedPath)
	require.Contains(t, p.read("sys/mounts"), "late/")

	factories := *pinned.Field[map[string]logical.Factory](p.secondary.Core, "logicalBackends")
	factories["pki"] = pairConfig().LogicalBackends["pki"]
	p.recheck(func() bool { return len(p.follower.Lacks()) == 1 })
	_, err = p.ask(logical.ListOperation, "late/certs", p.root, nil)
	require.NoError(t, err)
	p.do(logical.DeleteOperation, "sys/mounts/late", nil)
	p.do(logical.DeleteOperation, "sys/mounts/early", nil)
	require.Empty(t, p.follower.Lacks())
}

// recheck has the follower compare everything, and waits until that shows.
func (p *pair) recheck(shows func() bool) {
	p.t.Helper()
	p.follower.RecheckSoon()
	require.Eventually(p.t, shows, waitLong, tick)
}
