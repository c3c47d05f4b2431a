// SPDX-License-Identifier: MPL-2.0

package content_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/content"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Two snapshots of one Vault are equal, also over a restart, and one of a Vault
// that lost something is not: else comparing them after a failover says nothing.
func TestSnapshotIsStableAndSeesALoss(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Name: "content", Binary: cluster.Binary(t, "vault-plain")})
	v := &content.Vault{
		Root: c.Node(0).APIClient(), Notes: map[string]string{},
		AuditFile: filepath.Join(t.TempDir(), "audit.log"), Database: postgres.New(t),
	}
	require.NoError(t, content.Load(t.Context(), v))
	before, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err)

	require.NoError(t, c.Restart(t.Context(), false))
	after, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err)
	require.Empty(t, content.Diff(before, after))

	_, err = v.Root.Logical().WriteWithContext(t.Context(), "kv1/app/a", map[string]any{"user": "other"})
	require.NoError(t, err)
	changed, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, []string{
		" › key-value version 1 › kv1/app/a › number: <nil>, was 12345678901234",
		" › key-value version 1 › kv1/app/a › user: other, was u",
	}, content.Diff(before, changed)[:2])

	require.NoError(t, content.RevokeAll(t.Context(), v))
	var last error
	require.Eventually(t, func() bool {
		_, last = content.Snapshot(t.Context(), v)
		return last != nil
	}, 10*time.Second, 50*time.Millisecond, "a revoked token is still there")
}
