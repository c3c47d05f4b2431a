// SPDX-License-Identifier: MPL-2.0

package records_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A plugin names its records, and the name is a part of a storage key.
func TestNamesStayBelowTheirPrefix(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"ca", "secondaries/eu-1", "a.b_c/d", "x..y"} {
		require.NoError(t, records.Check(good, []byte("v")), good)
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", "../role", "a/../b", "a/./b", ".", "-a", "a b", "a\n", "ä",
		"a\x00", strings.Repeat("a", replication.StateKeyMax+1)} {
		err := records.Check(bad, []byte("v"))
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%q: %v", bad, err)
	}
	require.NoError(t, records.Check("a", make([]byte, replication.StateValueMax)))
	err := records.Check("a", make([]byte, replication.StateValueMax+1))
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
}

func TestRecordsAreListedAtAnyDepth(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	prefix := records.OfPlugin(replication.DR)
	for _, name := range []string{"b", "a/c", "a/b/d", "a"} {
		require.NoError(t, store.Put(ctx, &physical.Entry{Key: prefix + name}))
	}
	require.NoError(t, store.Put(ctx, &physical.Entry{Key: records.OfMode(replication.DR) + "beside"}))
	keys, err := records.Stored(ctx, store, prefix)
	require.NoError(t, err)
	require.Equal(t, []string{prefix + "a", prefix + "a/b/d", prefix + "a/c", prefix + "b"}, keys)

	broken := store.(*inmem.InmemBackend)
	broken.FailList(true)
	_, err = records.Stored(ctx, broken, prefix)
	require.ErrorContains(t, err, prefix)
}
