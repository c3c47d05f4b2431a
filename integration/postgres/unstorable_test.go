// SPDX-License-Identifier: MPL-2.0

package postgres_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/physical/postgresql"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// What a real PostgreSQL refuses for good is known for that.
func TestWhatPostgreSQLRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := postgres.New(t)
	tables := server.VaultTables(t, "refusing")
	raw, err := postgresql.NewPostgreSQLBackend(map[string]string{"connection_url": tables.URL, "table": tables.Entries},
		hclog.NewNullLogger())
	require.NoError(t, err)
	b := unstorable.Absent(raw)
	random := make([]byte, 1800) // the index compresses what can be
	_, _ = rand.Read(random)
	for key, why := range map[string]unstorable.Why{
		"logical/" + hex.EncodeToString(random[:1000]): "",
		"logical/" + hex.EncodeToString(random):        unstorable.Name,
		"logical/nul\x00":                              unstorable.Form,
		"logical/no text \xff":                         unstorable.Form,
	} {
		e := &physical.Entry{Key: key, Value: []byte("v")}
		err := b.Put(ctx, e)
		if why == "" {
			require.NoError(t, err)
			continue
		}
		refusal := unstorable.Of(err, e)
		require.NotNil(t, refusal, err)
		require.Equal(t, why, refusal.Why)
		got, err := b.Get(ctx, key)
		require.NoError(t, err)
		require.Nil(t, got)
		require.NoError(t, b.Delete(ctx, key))
	}
	// The table is gone: nobody knows for how long.
	_, err = server.Query(ctx, server.Admin, server.Password, "DROP TABLE "+tables.Entries)
	require.NoError(t, err)
	e := &physical.Entry{Key: "k", Value: []byte("v")}
	err = b.Put(ctx, e)
	require.Error(t, err)
	require.Nil(t, unstorable.Of(err, e))
}
