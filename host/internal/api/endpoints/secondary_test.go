// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestEnableSecondary(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	resp, _, err := f.update(t, "replication/dr/secondary/enable",
		map[string]any{"token": "t", "primary_api_addr": "https://a:8200", "ca_file": "f", "ca_path": "p"})
	require.NoError(t, err)
	require.Equal(t, []activation.Request{{Mode: replication.DR, Token: "t", PrimaryAPIAddr: "https://a:8200", CAFile: "f",
		CAPath: "p"}}, f.activations.requests)
	require.Equal(t, "dr-b", f.controller.joined.ID)
	require.Nil(t, resp.Data)
	require.Equal(t, []string{
		"Vault has successfully found secondary information; it may take a while to perform setup tasks. Vault will be " +
			"unavailable until these tasks and initial sync complete.",
		"about the address", "more about enable-secondary",
	}, resp.Warnings)
}

// A token that is encrypted to the key of this cluster needs no call, and is not spent by what fails.
func TestTokensForThePublicKeyAreOpenedHere(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	resp, _, err := f.update(t, "replication/dr/secondary/generate-public-key", nil)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"secondary_public_key": "public"}, resp.Data)
	_, _, err = f.update(t, "replication/dr/secondary/enable", map[string]any{"token": "activation.x"})
	require.NoError(t, err)
	f.controller.roles[replication.DR] = replication.Secondary
	_, _, err = f.update(t, "replication/dr/secondary/update-primary",
		map[string]any{"token": " activation.y", "dr_operation_token": "dro.good"})
	require.NoError(t, err)
	require.NotNil(t, f.controller.update.Payload)
	require.Equal(t, []string{"generate-public-key-dr", "open-activation.x", "enable-secondary", "open- activation.y",
		"update-primary"}, f.controller.calls)
	require.Empty(t, f.activations.requests)

	f.controller.err = replication.Errorf(replication.Unreachable, "what happened")
	_, status, err := f.update(t, "replication/dr/secondary/update-primary",
		map[string]any{"token": "activation.y", "dr_operation_token": "dro.good"})
	require.Equal(t, 502, status)
	require.EqualError(t, err, "what happened")

	f = decorated(t, replication.Primary)
	_, status, err = f.update(t, "replication/dr/secondary/generate-public-key", nil)
	require.Equal(t, 400, status)
	require.ErrorContains(t, err, "is a DR primary")
	require.Empty(t, f.controller.calls)
}

func TestEnableSecondaryBesideAnotherRoleSpendsNothing(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Disabled)
	f.controller.roles[replication.Performance] = replication.Primary
	_, status, err := f.update(t, "replication/dr/secondary/enable", map[string]any{"token": "t"})
	require.Equal(t, 400, status)
	require.ErrorContains(t, err, "already a performance primary")
	_, status, _ = decorated(t, replication.Disabled).update(t, "replication/dr/secondary/enable", nil)
	require.Equal(t, 400, status)
	require.Empty(t, f.activations.requests)
}

// Stock clients try again after a 5xx, which a used-up token does not survive.
func TestErrorsAfterTheTokenIsSpentAreNotRetried(t *testing.T) {
	t.Parallel()
	for kind, want := range map[replication.Kind][2]int{
		replication.Unreachable: {502, 400}, replication.Unavailable: {503, 400}, replication.Denied: {403, 400},
		replication.InvalidInput: {400, 400}, replication.Internal: {500, 500},
	} {
		f := decorated(t, replication.Disabled)
		f.activations.err = replication.Errorf(kind, "what happened")
		_, status, err := f.update(t, "replication/dr/secondary/enable", map[string]any{"token": "t"})
		require.Equal(t, want[0], status)
		require.EqualError(t, err, "what happened")
		f.activations.spent = true
		_, status, err = f.update(t, "replication/dr/secondary/enable", map[string]any{"token": "t"})
		require.Equal(t, want[1], status)
		require.ErrorContains(t, err, "used up")

		f = decorated(t, replication.Disabled)
		f.controller.err = replication.Errorf(kind, "what happened")
		_, status, err = f.update(t, "replication/dr/secondary/enable", map[string]any{"token": "t"})
		require.Equal(t, want[1], status)
		require.ErrorContains(t, err, "used up")
	}
}

func TestSecondaryOperationsNeedTheToken(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"promote", "disable", "recover", "update-primary", "operation-token/delete"} {
		for _, data := range []map[string]any{nil, {"dr_operation_token": ""}, {"dr_operation_token": "hvs.root"}} {
			f := decorated(t, replication.Secondary)
			_, status, _ := f.update(t, "replication/dr/secondary/"+path, data)
			require.Equal(t, 403, status, path)
			require.Equal(t, []string{"sys/replication/dr/secondary/" + path}, f.tokens.paths)
			require.Empty(t, f.controller.calls)
			require.Empty(t, f.tokens.consumed)
		}
	}
}

func TestPromote(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Secondary)
	resp, _, err := f.update(t, "replication/dr/secondary/promote", map[string]any{"dr_operation_token": "dro.good",
		"force": true, "primary_cluster_addr": "https://lb:8201"})
	require.NoError(t, err)
	require.Equal(t, "This cluster is being promoted to a replication primary. Vault will be unavailable for a brief "+
		"period and will resume service shortly.", resp.Warnings[0])
	require.Equal(t, replication.PromoteSecondaryRequest{Force: true, PrimaryClusterAddr: "https://lb:8201"},
		f.controller.promote.PromoteSecondaryRequest)
	require.Empty(t, f.tokens.consumed, "the controller consumes the token when the promotion is certain")
	require.NoError(t, f.controller.promote.Consume(context.Background()))
	require.Equal(t, []string{"dro.good"}, f.tokens.consumed)
}

func TestUpdatePrimary(t *testing.T) {
	t.Parallel()
	const path = "replication/dr/secondary/update-primary"
	f := decorated(t, replication.Secondary)
	resp, _, err := f.update(t, path, map[string]any{"dr_operation_token": "dro.good", "token": "t"})
	require.NoError(t, err)
	require.Equal(t, "dr-b", f.controller.update.Payload.ID)
	require.Contains(t, resp.Warnings, "about the address")

	f = decorated(t, replication.Secondary)
	_, _, err = f.update(t, path, map[string]any{"dr_operation_token": "dro.good",
		"update_primary_addrs": "https://a:8201,https://b:8201"})
	require.NoError(t, err)
	require.Equal(t, UpdatePrimaryRequest{Addrs: []string{"https://a:8201", "https://b:8201"}}, f.controller.update)
	require.Empty(t, f.activations.requests)

	f = decorated(t, replication.Secondary)
	resp, _, err = f.update(t, path, map[string]any{"dr_operation_token": "dro.good", "token": ""})
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], "forgotten its primary")

	for _, data := range []map[string]any{
		{"token": "t", "update_primary_addrs": "https://a:8201"},
		{"update_primary_addrs": "http://a:8201"},
		{"update_primary_addrs": []string{"https://a:8201", "a"}},
	} {
		data["dr_operation_token"] = "dro.good"
		f = decorated(t, replication.Secondary)
		_, status, _ := f.update(t, path, data)
		require.Equal(t, 400, status)
		require.Empty(t, f.controller.calls)
		require.Empty(t, f.activations.requests)
	}
}

func TestDeleteOperationToken(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Secondary)
	resp, status, err := f.update(t, "replication/dr/secondary/operation-token/delete",
		map[string]any{"dr_operation_token": "dro.good"})
	require.NoError(t, err)
	require.Nil(t, resp)
	require.Equal(t, 200, status)
	require.Equal(t, []string{"dro.good"}, f.tokens.consumed)
	_, status, err = f.update(t, "replication/dr/secondary/operation-token/delete",
		map[string]any{"dr_operation_token": "hvb.good"})
	require.Equal(t, 400, status)
	require.ErrorContains(t, err, "batch token")
}
