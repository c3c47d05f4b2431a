// SPDX-License-Identifier: MPL-2.0

package history_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/shared/replication"
)

type store map[string][]byte

func (s store) GetEntry(_ context.Context, key string) ([]byte, error) { return s[key], nil }

func epoch(n uint64) replication.Epoch { return replication.Epoch{Generation: n, ID: "e"} }

func TestWhereHistoriesPart(t *testing.T) {
	t.Parallel()
	var h history.History
	for n := range uint64(100) {
		h = h.With(history.Reign{Epoch: epoch(n + 1), After: replication.Position{Epoch: epoch(n), Sequence: 10 * n}})
	}
	raw, err := h.Encode()
	require.NoError(t, err)
	read, err := history.Load(t.Context(), store{history.Key(replication.DR): raw}, replication.DR)
	require.NoError(t, err)
	require.Equal(t, h, read)

	require.Equal(t, h[len(h)-2:], read.Since(epoch(98)))
	for _, unknown := range []uint64{0, 100} { // forgotten, and the present one
		require.Empty(t, read.Since(epoch(unknown)))
	}
}

func TestNoHistory(t *testing.T) {
	t.Parallel()
	raw, err := history.History(nil).Encode()
	require.NoError(t, err)
	require.Nil(t, raw)
	h, err := history.Load(t.Context(), store{}, replication.DR)
	require.NoError(t, err)
	require.Empty(t, h)
	_, err = history.Load(t.Context(), store{history.Key(replication.DR): []byte("{")}, replication.DR)
	require.ErrorContains(t, err, "the record of former primaries")
}
