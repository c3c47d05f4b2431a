// SPDX-License-Identifier: MPL-2.0

package records_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A kill may have left a file beside a record, with its name and some digits. It is no record. A record whose name ends
// with digits is one, also if it cannot be read.
func TestRemainsAreNoRecords(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	store, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	barrier, err := vault.NewAESGCMBarrier(store, false)
	require.NoError(t, err)
	root, err := barrier.GenerateKey(rand.Reader)
	require.NoError(t, err)
	require.NoError(t, barrier.Initialize(ctx, root, nil, rand.Reader))
	require.NoError(t, barrier.Unseal(ctx, root))
	prefix := records.OfPlugin(replication.DR)
	put := func(name string) []byte {
		require.NoError(t, barrier.Put(ctx, &logical.StorageEntry{Key: prefix + name, Value: []byte(name)}))
		b, err := os.ReadFile(filepath.Join(dir, prefix, "_"+name))
		require.NoError(t, err)
		return b
	}
	whole := put("d2VzdA")
	torn := put("ZWFzdDc1")
	put("ZWFzdDc10")
	for name, content := range map[string][]byte{
		"d2VzdA7": whole, "d2VzdA4294967295": whole, "d2VzdA3123456789": whole[:9], "d2VzdA112345678": {},
		"ZWFzdDc1": torn[:9], "gone1234567": whole, "d2VzdA0": whole, "d2VzdA42949672951": whole,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, prefix, "_"+name), content, 0o600))
	}
	names, err := store.List(ctx, prefix)
	require.NoError(t, err)
	require.Len(t, names, 10)
	require.Equal(t, []string{"ZWFzdDc1", "ZWFzdDc10", "d2VzdA", "d2VzdA42949672951", "gone1234567"},
		records.WithoutRemains(ctx, barrier, store, prefix, names))
}
