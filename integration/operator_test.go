// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// What operators do and look at, each by the stock client or command line.

// A snapshot of a DR secondary is taken with a DR operation token in place of a token, and restores a cluster.
func TestSnapshotOfADRSecondary(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	p, s := pair(t, cluster.Options{})
	write(t, p.Node(0).APIClient(), "cubbyhole/kept", map[string]any{"a": "b"})
	require.NoError(t, s.WaitEqual(ctx, p))
	onPrimary := p.Node(0).APIClient()
	require.NoError(t, onPrimary.Sys().PutPolicyWithContext(ctx, "snapshot", `path "sys/storage/raft/snapshot" {
		capabilities = ["read"] }`))
	write(t, onPrimary, "auth/token/roles/snapshot", map[string]any{"allowed_policies": "snapshot", "orphan": true,
		"renewable": false, "token_type": "batch"})
	batch, err := onPrimary.Auth().Token().CreateWithRoleWithContext(ctx, &api.TokenCreateRequest{TTL: "1h"}, "snapshot")
	require.NoError(t, err)
	operation := batch.Auth.ClientToken
	require.NoError(t, s.WaitEqual(ctx, p))

	var none bytes.Buffer
	require.Error(t, s.Node(0).APIClient().Sys().RaftSnapshotWithContext(ctx, &none), "a token of the primary")
	require.Error(t, s.Node(0).Anonymous().Sys().RaftSnapshotWithContext(ctx, &none))
	file := artifact(t, "snapshot")
	root := s.GetRootToken()
	s.SetRootToken(operation)
	out, err := cli(t, s, "operator", "raft", "snapshot", "save", file)
	s.SetRootToken(root)
	require.NoError(t, err, out)
	snapshot, err := os.ReadFile(file)
	require.NoError(t, err)

	// It is a snapshot as Vault takes it: the secondary itself, once it is a primary, takes it.
	require.NoError(t, p.Node(0).Kill(ctx))
	require.NoError(t, s.Promote(ctx))
	client := s.Node(0).APIClient()
	write(t, client, "cubbyhole/after", map[string]any{"c": "d"})
	require.NoError(t, client.Sys().RaftSnapshotRestoreWithContext(ctx, bytes.NewReader(snapshot), false))
	cluster.Eventually(t, limit, "it is the secondary of the snapshot again", func(ctx context.Context) error {
		status, err := s.Node(0).DRStatus(ctx)
		if err == nil && status.Mode != "secondary" {
			err = errors.New("it is " + status.Mode)
		}
		return err
	})
}

// The last sequence is in sys/health and sys/leader of the active node, and so in vault status.
func TestLastWALIsInHealthAndLeader(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	p, s := pair(t, cluster.Options{})
	write(t, p.Node(0).APIClient(), "cubbyhole/a", map[string]any{"a": "b"})
	require.NoError(t, s.WaitEqual(ctx, p))
	for _, c := range []*cluster.Cluster{p, s} {
		status, err := c.Node(0).DRStatus(ctx)
		require.NoError(t, err)
		health, err := c.Node(0).Health(ctx)
		require.NoError(t, err)
		leader, err := c.Node(0).Anonymous().Sys().LeaderWithContext(ctx)
		require.NoError(t, err)
		out, err := cli(t, c, "status", "-format=json")
		require.NoError(t, err, out)
		var told struct {
			LastWAL uint64 `json:"last_wal"`
		}
		require.NoError(t, json.Unmarshal([]byte(out), &told))
		from := max(status.LastWAL, status.LastRemoteWAL)
		require.NotZero(t, from)
		require.GreaterOrEqual(t, health.LastWAL, from)
		require.GreaterOrEqual(t, leader.LastWAL, from)
		require.GreaterOrEqual(t, told.LastWAL, from)
	}
}

// An id is used again after its token was lost, and after it was revoked.
func TestTheIDOfASecondaryIsUsedAgain(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	p, s := clusters(t, cluster.Options{})
	require.NoError(t, p.EnableDRPrimary(ctx))
	id := s.ClusterID()
	lost, err := p.ActivationToken(ctx, id)
	require.NoError(t, err)
	require.NoError(t, s.JoinDR(ctx, p), "by a second token of the id")
	_, err = p.ActivationToken(ctx, id)
	require.ErrorContains(t, err, "is connected")
	require.NotEmpty(t, lost)

	write(t, p.Node(0).APIClient(), cluster.PathRevokeSecondary, map[string]any{"id": id})
	require.NoError(t, s.Node(0).WaitDR(ctx, "is cut off", func(status *cluster.DRStatus) error {
		if !strings.Contains(status.LastError, "was revoked") {
			return fmt.Errorf("last_error is %q", status.LastError)
		}
		return nil
	}))
	cluster.Eventually(t, limit, "the id can be used again", func(ctx context.Context) error {
		return s.RejoinDR(ctx, p, id)
	})
	write(t, p.Node(0).APIClient(), "cubbyhole/a", map[string]any{"a": "b"})
	require.NoError(t, s.WaitEqual(ctx, p))
	status, err := p.Node(0).DRStatus(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{id}, status.KnownSecondary)
	require.Len(t, status.Secondaries, 1)

	// The token of before is of no use: its certificate was replaced twice.
	secret, err := p.Node(0).APIClient().Logical().Unwrap(lost)
	require.NoError(t, err)
	require.NotNil(t, secret)
}

// All that the listener and the configuration can say of replication, and what is answered then.
func TestStanzasOfReplicationAreNotWarnedOf(t *testing.T) {
	parallel(t)
	c := cluster.New(t, cluster.Options{
		Name: "stanza", Binary: product(t), ListenerHCL: "disable_replication_status_endpoints = true",
		ExtraHCL: "replication {\n  resolver_discover_servers = true\n  logshipper_buffer_size = \"64mb\"\n}",
	})
	log, err := os.ReadFile(c.Node(0).LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(log), "unknown or unsupported field")
	code, body := call(t.Context(), t, c, http.MethodGet, "sys/replication/status")
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, "disabled path")

	// The build's date, not a moment of each start.
	first, err := cli(t, c, "version")
	require.NoError(t, err)
	second, err := cli(t, c, "version")
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Contains(t, first, "built 20")
}
