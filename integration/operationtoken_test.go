// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// Only a DR operation token, or a batch token whose policy names the path,
// promotes; and a promotion uses the token up.
func TestOnlyADROperationTokenPromotes(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{Shares: 3, Threshold: 2})
	root := primary.Node(0).APIClient()
	require.NoError(t, root.Sys().PutPolicy("all",
		`path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`))
	token := func(request api.TokenCreateRequest) string {
		secret, err := root.Auth().Token().Create(&request)
		require.NoError(t, err)
		return secret.Auth.ClientToken
	}
	tokens := map[string]string{
		"none":                 "",
		"nonsense":             "hvs.nonsense",
		"root":                 primary.GetRootToken(),
		"service with policy":  token(api.TokenCreateRequest{Policies: []string{"all"}}),
		"batch without policy": token(api.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", NoParent: true}),
	}
	require.NoError(t, secondary.WaitEqual(ctx, primary))
	deleted, err := secondary.OperationToken()
	require.NoError(t, err)
	_, err = secondary.Node(0).Anonymous().Logical().Write(cluster.PathOperationTokenDel,
		map[string]any{"dr_operation_token": deleted})
	require.NoError(t, err)
	tokens["deleted"] = deleted

	for name, value := range tokens {
		for _, path := range []string{cluster.PathSecondaryPromote, cluster.PathSecondaryDisable,
			cluster.PathOperationTokenDel} {
			_, err := secondary.Node(0).Anonymous().Logical().Write(path,
				map[string]any{"dr_operation_token": value, "force": true})
			requireStatus(t, err, http.StatusBadRequest, http.StatusForbidden)
			require.Contains(t, err.Error(), "token", "%s at %s", name, path)
		}
	}
	requireSecondary(t, secondary)

	good, err := secondary.OperationToken()
	require.NoError(t, err)
	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, secondary.PromoteWith(ctx, map[string]any{"dr_operation_token": good}))
	_, err = secondary.Node(0).Anonymous().Logical().Write(cluster.PathSecondaryPromote,
		map[string]any{"dr_operation_token": good})
	requireStatus(t, err, http.StatusBadRequest, http.StatusForbidden)
}

func requireStatus(t *testing.T, err error, codes ...int) {
	t.Helper()
	var response *api.ResponseError
	require.ErrorAs(t, err, &response)
	require.Contains(t, codes, response.StatusCode, "%v", response)
}

// The stock command line makes the token, step by step, as the runbook says.
func TestStockCLIMakesADROperationToken(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{Shares: 3, Threshold: 2})
	run := func(args ...string) string {
		t.Helper()
		out, err := cli(t, secondary, args...)
		require.NoError(t, err, out)
		return out
	}
	out := run("operator", "generate-root", "-dr-token", "-init")
	nonce, otp := column(t, out, "Nonce"), column(t, out, "OTP")

	wrong, err := cli(t, secondary, "operator", "generate-root", "-dr-token",
		"-nonce=00000000-0000-0000-0000-000000000000",
		hex.EncodeToString(secondary.GetBarrierKeys()[0]))
	require.Error(t, err, wrong)

	for _, key := range secondary.GetBarrierKeys()[:2] {
		out = run("operator", "generate-root", "-dr-token", "-nonce="+nonce, hex.EncodeToString(key))
	}
	require.Equal(t, "true", column(t, out, "Complete"))
	decoded := run("operator", "generate-root", "-dr-token", "-decode="+column(t, out, "Encoded Token"), "-otp="+otp)

	require.NoError(t, primary.Stop(ctx, false))
	run("write", cluster.PathSecondaryPromote, "dr_operation_token="+strings.TrimSpace(decoded))
	require.NoError(t, secondary.Node(0).WaitRole(ctx, "primary"))
}

// column is a value of the CLI's two-column output.
func column(t *testing.T, out, name string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^` + name + `\s+(\S+)`).FindStringSubmatch(out)
	require.NotNil(t, match, "%q is not in:\n%s", name, out)
	return match[1]
}

// A batch token that lies in a drawer is held to what the operator bound it to: the
// addresses of its clients and the parameters that its policy allows.
func TestBatchDROperationTokenIsHeldToItsRules(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	root := primary.Node(0).APIClient()
	require.NoError(t, root.Sys().PutPolicy("promote", `path "sys/replication/dr/secondary/promote" {
		capabilities = ["update"]
		denied_parameters = { "force" = [] }
	}
	path "sys/storage/raft/*" { capabilities = ["update"] }`))
	token := func(role, cidrs string) string {
		write(t, root, "auth/token/roles/"+role, map[string]any{
			"orphan": true, "renewable": false, "token_type": "batch", "allowed_policies": "promote", "token_bound_cidrs": cidrs,
		})
		secret, err := root.Auth().Token().CreateWithRole(&api.TokenCreateRequest{Policies: []string{"promote"}, TTL: "1h"},
			role)
		require.NoError(t, err)
		return secret.Auth.ClientToken
	}
	elsewhere, here := token("elsewhere", "192.0.2.9/32"), token("here", "127.0.0.0/8")
	require.NoError(t, secondary.WaitEqual(ctx, primary))

	promote := func(data map[string]any) error {
		_, err := secondary.Node(0).Anonymous().Logical().Write(cluster.PathSecondaryPromote, data)
		return err
	}
	// With force the parameter would refuse the first one too.
	requireStatus(t, promote(map[string]any{"dr_operation_token": elsewhere}), http.StatusForbidden)
	requireStatus(t, promote(map[string]any{"dr_operation_token": here, "force": true}), http.StatusForbidden)
	peers := func(token string) error {
		_, err := secondary.Node(0).Anonymous().Logical().Write("sys/storage/raft/configuration",
			map[string]any{"dr_operation_token": token})
		return err
	}
	requireStatus(t, peers(elsewhere), http.StatusForbidden)
	require.NoError(t, peers(here))
	requireSecondary(t, secondary)

	require.NoError(t, primary.Stop(ctx, false))
	require.NoError(t, secondary.PromoteWith(ctx, map[string]any{"dr_operation_token": here}))
}
