// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestVerifierAllowsWhatWasGenerated(t *testing.T) {
	t.Parallel()
	ctx, store, keys := context.Background(), new(memoryStore), newFakeKeys(t, 3, 2)
	v := NewVerifier(store, fakeBatch{})
	first := generate(t, NewCollector(keys, v, hclog.NewNullLogger()), keys)
	require.NotContains(t, string(store.data), first, "only a hash is stored")
	require.NoError(t, v.Allow(ctx, first, promote))
	require.NoError(t, v.Allow(ctx, first, Use("sys/storage/raft/configuration", nil, nil)), "checking spends nothing")

	second := generate(t, NewCollector(keys, v, hclog.NewNullLogger()), keys)
	require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, first, promote)), "replaced")
	require.Equal(t, replication.Denied, replication.KindOf(v.Consume(ctx, first)))
	require.NoError(t, v.Consume(ctx, second))
	require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, second, promote)), "consumed")
	require.Equal(t, replication.Denied, replication.KindOf(v.Consume(ctx, second)))
}

func TestVerifierRefuses(t *testing.T) {
	t.Parallel()
	ctx, store, keys := context.Background(), new(memoryStore), newFakeKeys(t, 1, 1)
	v := NewVerifier(store, fakeBatch{})
	empty := strings.Repeat("\x00", 32)
	require.Error(t, v.Allow(ctx, empty, promote), "without a record nothing matches")
	good := generate(t, NewCollector(keys, v, hclog.NewNullLogger()), keys)
	for _, wrong := range []string{
		good[:len(good)-1], good + "x", strings.ToUpper(good), " " + good, "dro.", "x",
		"hvs.root", "hvr.recovery", "s.old", "r.old", strings.Repeat("a", tokenMax+1),
		"hvb.bad", "b.bad",
	} {
		require.Equal(t, replication.Denied, replication.KindOf(v.Allow(ctx, wrong, promote)), wrong)
	}
	require.Equal(t, replication.InvalidInput, replication.KindOf(v.Allow(ctx, "", promote)))
	require.ErrorContains(t, v.Allow(ctx, "hvs.root", promote), "orphan batch token with update on "+promotePath)
	require.NoError(t, v.Allow(ctx, "hvb.good", promote))
	require.Error(t, v.Allow(ctx, "hvb.good", Use("sys/storage/raft/configuration", nil, nil)))
	require.Equal(t, replication.Unavailable, replication.KindOf(v.Allow(ctx, "hvb.later", promote)))
	require.NoError(t, v.Consume(ctx, "hvb.good"), "a batch token is not stored")
	require.NoError(t, v.Allow(ctx, good, promote))
	require.Error(t, NewVerifier(store, nil).Allow(ctx, "hvb.good", promote))

	store.err = errors.New("disk is gone")
	require.Equal(t, replication.StorageFailed, replication.KindOf(v.Allow(ctx, good, promote)))
	store.err, store.data = nil, []byte("{}")
	require.Equal(t, replication.Internal, replication.KindOf(v.Allow(ctx, good, promote)))
}
