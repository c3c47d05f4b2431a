// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// A request that was forwarded is in the logs of both clusters under one id: on the
// secondary with its client, on the primary with the secondary that sent it.
func TestForwardedRequestIsInBothAuditLogs(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	logs := map[*cluster.Cluster]string{}
	for _, c := range []*cluster.Cluster{primary, secondary} {
		logs[c] = filepath.Join(t.TempDir(), "audit.log")
		require.NoError(t, c.Node(0).APIClient().Sys().EnableAuditWithOptionsWithContext(t.Context(), "own",
			&api.EnableAuditOptions{
				Type: "file", Local: true, Options: map[string]string{"file_path": logs[c], "hmac_accessor": "false"},
			}))
	}
	token, err := secondary.Node(0).APIClient().Auth().Token().CreateWithContext(t.Context(),
		&api.TokenCreateRequest{Policies: []string{"root"}, DisplayName: "somebody"})
	require.NoError(t, err)
	c := secondary.Node(0).Anonymous()
	c.SetToken(token.Auth.ClientToken)
	write(t, c, "kv/audited", map[string]any{"v": "very secret"})

	here, there := auditedOf(t, logs[secondary], "kv/audited"), auditedOf(t, logs[primary], "kv/audited")
	for side, entries := range map[string][]audited{"secondary": here, "primary": there} {
		require.Len(t, entries, 2, "%s: a request and a response", side)
		require.Equal(t, []string{"request", "response"}, []string{entries[0].Type, entries[1].Type}, side)
		require.Equal(t, here[0].Request.ID, entries[0].Request.ID, side)
		require.Equal(t, here[0].Request.Operation, entries[0].Request.Operation, side)
	}
	require.Equal(t, token.Auth.Accessor, here[0].Auth.Accessor)
	require.Empty(t, here[0].Request.ReplicationCluster)
	require.Equal(t, "west", there[0].Request.ReplicationCluster)
	for _, file := range logs {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "very secret")
		require.NotContains(t, string(raw), token.Auth.ClientToken)
	}
}

// What a login on the secondary has the primary change in identity is in the
// primary's log, with the secondary that asked for it and no word of the client in
// clear. What the filter hides from the secondary cannot be changed so: see
// TestServerRefuses of host/internal/entity.
func TestChangeOfIdentityForALoginIsInThePrimarysAuditLog(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	put(t, primary, "sys/auth/userpass", map[string]any{"type": "userpass"})
	put(t, primary, "auth/userpass/users/ann", map[string]any{"password": "secret"})
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, primary.Node(0).APIClient().Sys().EnableAuditWithOptionsWithContext(t.Context(), "own",
		&api.EnableAuditOptions{
			Type: "file", Local: true, Options: map[string]string{"file_path": file},
		}))
	var id string
	cluster.Eventually(t, limit, "a login on the secondary", func(ctx context.Context) error {
		secret, err := client(secondary).WriteWithContext(ctx, "auth/userpass/login/ann",
			map[string]any{"password": "secret"})
		if err == nil {
			id = secret.Auth.EntityID
		}
		return err
	})
	require.NotNil(t, read(t, primary, "identity/entity/id/"+id))
	entries := auditedOf(t, file, "identity/for-secondary/entity/ensure")
	require.Len(t, entries, 2, "a request and a response")
	require.Equal(t, []string{"request", "response"}, []string{entries[0].Type, entries[1].Type})
	require.Equal(t, "west", entries[0].Request.ReplicationCluster)
	require.Equal(t, entries[0].Request.ID, entries[1].Request.ID)
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(raw), `"ann"`)

	put(t, secondary, "auth/userpass/login/ann", map[string]any{"password": "secret"})
	require.Len(t, auditedOf(t, file, "identity/for-secondary/entity/ensure"), 2, "a login that changes nothing asks "+
		"nothing")
}

// The primary's settings say which headers of a forwarded request its log has, and which of
// them in clear. The backend gets none of them, and no log has the token.
func TestAuditedHeadersOfAForwardedRequest(t *testing.T) {
	parallel(t)
	primary, secondary := performancePair(t)
	mounted(t, primary, secondary, "kv")
	put(t, primary, "sys/config/auditing/request-headers/X-Clear", map[string]any{"hmac": false})
	put(t, primary, "sys/config/auditing/request-headers/X-Hidden", map[string]any{"hmac": true})
	put(t, primary, "sys/config/auditing/request-headers/X-Vault-Token", map[string]any{"hmac": false})
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, primary.Node(0).APIClient().Sys().EnableAuditWithOptionsWithContext(t.Context(), "own",
		&api.EnableAuditOptions{Type: "file", Local: true, Options: map[string]string{"file_path": file}}))
	c := secondary.Node(0).APIClient()
	c.AddHeader("X-Clear", "seen")
	c.AddHeader("X-Hidden", "not seen")
	c.AddHeader("X-Other", "left out")
	for path, data := range map[string]map[string]any{
		"kv/headers": {"v": "1"}, "sys/policies/acl/headers": {"policy": "# none"}, "identity/group": {"name": "headers"},
	} {
		write(t, c, path, data)
		entries := auditedOf(t, file, path)
		require.Len(t, entries, 2, "%s: a request and a response", path)
		for _, e := range entries {
			require.Equal(t, []string{"seen"}, e.Request.Headers["x-clear"], path)
			require.Len(t, e.Request.Headers["x-hidden"], 1, path)
			require.Contains(t, e.Request.Headers["x-hidden"][0], "hmac-sha256:", path)
			require.NotContains(t, e.Request.Headers, "x-other", path)
			require.NotContains(t, e.Request.Headers, "x-vault-token", path)
		}
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "not seen")
	require.NotContains(t, string(raw), c.Token())
}

// audited is the part of an audit entry that the test reads.
type audited struct {
	Type    string
	Auth    struct{ Accessor string }
	Request struct {
		ID, Operation, Path string
		ReplicationCluster  string `json:"replication_cluster"`
		Headers             map[string][]string
	}
}

func auditedOf(t *testing.T, file, path string) (entries []audited) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		var entry audited
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		if entry.Request.Path == path {
			entries = append(entries, entry)
		}
	}
	return entries
}
