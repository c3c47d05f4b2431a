// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestPrimaryWarnings(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"enable": "This cluster is being enabled as a primary for replication. Vault will be unavailable for a brief " +
			"period and will resume service shortly.",
		"demote": "This cluster is being demoted to a replication secondary. Vault will be unavailable for a brief period " +
			"and will resume service shortly.",
		"disable": "This cluster is having replication disabled. Vault will be unavailable for a brief period and will " +
			"resume service shortly.",
	} {
		role := replication.Primary
		if path == "enable" {
			role = replication.Disabled
		}
		f := decorated(t, role)
		resp, status, err := f.update(t, "replication/dr/primary/"+path, nil)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Nil(t, resp.Data)
		require.Equal(t, []string{want, "more about " + f.controller.calls[0]}, resp.Warnings)
	}
}

func TestRolesDecide(t *testing.T) {
	t.Parallel()
	all := []replication.Role{replication.Disabled, replication.Primary, replication.Secondary, replication.Bootstrapping}
	for path, allowed := range map[string][]replication.Role{
		"primary/enable": {replication.Disabled}, "primary/demote": {replication.Primary},
		"primary/disable":         {replication.Primary},
		"primary/secondary-token": {replication.Primary}, "primary/revoke-secondary": {replication.Primary},
		"secondary/enable":  {replication.Disabled},
		"secondary/promote": all[2:], "secondary/disable": all[2:], "secondary/recover": all[2:],
		"secondary/update-primary": all[2:],
	} {
		for _, role := range all {
			f := decorated(t, role)
			data := map[string]any{"dr_operation_token": "dro.good"}
			switch path {
			case "secondary/enable":
				data = map[string]any{"token": "t"}
			case "primary/secondary-token", "primary/revoke-secondary":
				data = map[string]any{"id": "a"}
			}
			_, status, err := f.update(t, "replication/dr/"+path, data)
			ok := false
			for _, r := range allowed {
				ok = ok || r == role
			}
			if ok {
				require.Equal(t, 200, status, "%s as %s: %v", path, role, err)
				require.Len(t, f.controller.calls, 1)
				continue
			}
			require.Equal(t, 400, status, "%s as %s", path, role)
			require.Empty(t, f.controller.calls)
			require.Empty(t, f.activations.requests, "no token is spent")
			require.Empty(t, f.tokens.paths)
		}
	}
}

func TestSecondaryTokenIsWrapped(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	resp, _, err := f.update(t, "replication/dr/primary/secondary-token", map[string]any{"id": "dr-b"})
	require.NoError(t, err)
	require.Equal(t, "jwt", resp.WrapInfo.Format)
	require.Equal(t, 30*time.Minute, resp.WrapInfo.TTL)
	require.Equal(t, replication.SecondaryTokenRequest{ID: "dr-b"}, f.controller.token)
	payload, err := activation.Open(resp.Data)
	require.NoError(t, err)
	require.Equal(t, replication.DR, payload.Mode)
	require.Equal(t, "dr-b", payload.ID)
	require.Equal(t, "set", payload.ClusterID)

	// An empty ttl is as one that is left out.
	resp, _, err = f.update(t, "replication/dr/primary/secondary-token", map[string]any{"id": "b", "ttl": ""})
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, resp.WrapInfo.TTL)
	for _, ttl := range []time.Duration{45 * time.Second, tokenTTLMax} {
		resp, _, err = f.update(t, "replication/dr/primary/secondary-token", map[string]any{"id": "b", "ttl": ttl.String()})
		require.NoError(t, err)
		require.Equal(t, ttl, resp.WrapInfo.TTL)
	}
}

// A token that names no address is of use with primary_api_addr alone.
func TestSecondaryTokenWithoutAnAPIAddress(t *testing.T) {
	t.Parallel()
	addr := ""
	f := &fakeController{roles: map[replication.Mode]replication.Role{replication.DR: replication.Primary}}
	b := systemBackend()
	require.NoError(t, Decorate(b, Options{Controller: f, Primary: f, Secondary: f, Filters: f, Kept: fakeKept{f},
		Tokens:  new(fakeTokens),
		APIAddr: func() string { return addr }}))
	ask := func() []string {
		resp, err := b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation,
			Path: "replication/dr/primary/secondary-token", Data: map[string]any{"id": "b"}})
		require.NoError(t, err)
		return resp.Warnings
	}
	require.Equal(t, []string{"more about secondary-token", warnNoAPIAddr}, ask())
	addr = "https://a:8200"
	require.Equal(t, []string{"more about secondary-token"}, ask())
}

// With a public key nothing is wrapped, and the secondary alone can read what is answered.
func TestSecondaryTokenForAPublicKey(t *testing.T) {
	t.Parallel()
	key, err := activation.NewKey()
	require.NoError(t, err)
	f := decorated(t, replication.Primary)
	resp, _, err := f.update(t, "replication/dr/primary/secondary-token",
		map[string]any{"id": "dr-b", "secondary_public_key": key.Public(), "ttl": "10m"})
	require.NoError(t, err)
	require.Nil(t, resp.WrapInfo)
	require.Len(t, resp.Data, 1)
	token := resp.Data["token"].(string)
	payload, err := key.Open(token, replication.DR, time.Now())
	require.NoError(t, err)
	require.Equal(t, "dr-b", payload.ID)
	_, err = key.Open(token, replication.DR, time.Now().Add(11*time.Minute))
	require.ErrorContains(t, err, "expired")
}

func TestSecondaryTokenChecksItsInput(t *testing.T) {
	t.Parallel()
	for text, data := range map[string]map[string]any{
		"id is missing":       {},
		"printable":           {"id": "a\nb"},
		"128":                 {"id": strings.Repeat("a", 129)},
		"ttl has to be":       {"id": "a", "ttl": 0},
		"24 hours at most":    {"id": "a", "ttl": "24h1s"},
		`id cannot be "."`:    {"id": "."},
		`id cannot be ".."`:   {"id": ".."},
		"is not a key that":   {"id": "a", "secondary_public_key": "k"},
		"cannot provide nega": {"id": "a", "ttl": -5},
	} {
		f := decorated(t, replication.Primary)
		resp, status, err := f.update(t, "replication/dr/primary/secondary-token", data)
		require.Equal(t, 400, status, text)
		if err == nil {
			err = resp.Error()
		}
		require.ErrorContains(t, err, text)
		require.Empty(t, f.controller.calls)
	}
}

func TestErrorsHaveTheStatusOfTheirKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[replication.Kind]int{
		replication.InvalidInput: 400, replication.Denied: 403, replication.NotFound: 404, replication.Unavailable: 503,
		replication.Unreachable: 502, replication.Uncertain: 409, replication.Internal: 500, replication.StorageFailed: 500,
		replication.PositionLost: 500,
	} {
		f := decorated(t, replication.Primary)
		f.controller.err = replication.Errorf(kind, "one sentence")
		for _, path := range []string{"primary/revoke-secondary", "primary/secondary-token", "primary/demote"} {
			resp, status, err := f.update(t, "replication/dr/"+path, map[string]any{"id": "a"})
			require.Equal(t, want, status, path)
			require.EqualError(t, err, "one sentence")
			require.Nil(t, resp, "no bundle beside an error")
		}
	}
}

func TestClusterAddresses(t *testing.T) {
	t.Parallel()
	for addr, ok := range map[string]bool{
		"": true, "https://lb.example.com:8201": true, "https://lb.example.com:8201/": true, "10.0.0.1:8201": true,
		"https://[::1]:8201": true,
		"http://lb:8201":     false, "https://lb": false, "lb": false, ":8201": false, "https://u:p@lb:8201": false,
		"https://lb:8201/x": false, "lb:": false,
	} {
		f := decorated(t, replication.Disabled)
		_, status, err := f.update(t, "replication/dr/primary/enable", map[string]any{"primary_cluster_addr": addr})
		require.Equal(t, ok, status == 200, "%q: %v", addr, err)
	}
}

func TestRecoverIsForEnabledModes(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	_, status, _ := f.update(t, "replication/recover", nil)
	require.Equal(t, 400, status)
	f = decorated(t, replication.Primary)
	resp, status, _ := f.do(t, logical.UpdateOperation, "replication/recover", nil)
	require.Equal(t, 200, status)
	require.Len(t, resp.Warnings, 2)
	require.Equal(t, []string{"recover-dr"}, f.controller.calls)
}
