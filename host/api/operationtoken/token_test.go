// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestVerifierAllowsWhatWasGenerated(t *testing.T) {
	t.Parallel()
	ctx, store, keys := context.Background(), new(memoryStore), newFakeKeys(t, 3, 2)
	v := NewVerifier(store, fakeBatch{})
	first := generate(t, NewCollector(keys, v), keys)
	require.NotContains(t, string(store.data), first, "only a hash is stored")
	require.NoError(t, v.Allow(ctx, first, promotePath))
	require.NoError(t, v.Allow(ctx, first, "sys/storage/raft/configuration"), "checking spends nothing")

	second := generate(t, NewCollector(keys, v), keys)
	require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, first, promotePath)), "replaced")
	require.Equal(t, replication.Denied, replication.KindOf(v.Consume(ctx, first)))
	require.NoError(t, v.Consume(ctx, second))
	require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, second, promotePath)), "consumed")
	require.Equal(t, replication.Denied, replication.KindOf(v.Consume(ctx, second)))
}

func TestVerifierRefuses(t *testing.T) {
	t.Parallel()
	ctx, store, keys := context.Background(), new(memoryStore), newFakeKeys(t, 1, 1)
	v := NewVerifier(store, fakeBatch{})
	empty := strings.Repeat("\x00", 32)
	require.Error(t, v.Allow(ctx, empty, promotePath), "without a record nothing matches")
	good := generate(t, NewCollector(keys, v), keys)
	for _, wrong := range []string{
		good[:len(good)-1], good + "x", strings.ToUpper(good), " " + good, "dro.", "x",
		"hvs.root", "hvr.recovery", "s.old", "r.old", strings.Repeat("a", tokenMax+1),
		"hvb.bad", "b.bad",
	} {
		require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, wrong, promotePath)), wrong)
	}
	require.Equal(t, replication.InvalidInput, replication.KindOf(v.Allow(ctx, "", promotePath)))
	require.ErrorContains(t, v.Allow(ctx, "hvs.root", promotePath), "orphan batch token with update on "+promotePath)
	require.NoError(t, v.Allow(ctx, "hvb.good", promotePath))
	require.Error(t, v.Allow(ctx, "hvb.good", "sys/storage/raft/configuration"))
	require.Equal(t, replication.Unavailable, replication.KindOf(v.Allow(ctx, "hvb.later", promotePath)))
	require.NoError(t, v.Consume(ctx, "hvb.good"), "a batch token is not stored")
	require.NoError(t, v.Allow(ctx, good, promotePath))
	require.Error(t, NewVerifier(store, nil).Allow(ctx, "hvb.good", promotePath))

	store.err = errors.New("disk is gone")
	require.Equal(t, replication.StorageFailed, replication.KindOf(v.Allow(ctx, good, promotePath)))
	store.err, store.data = nil, []byte("{}")
	require.Equal(t, replication.Internal, replication.KindOf(v.Allow(ctx, good, promotePath)))
}
