// SPDX-License-Identifier: MPL-2.0

package anchor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/anchor"
)

func TestBareRaftTakesWhatAFirstCopyHas(t *testing.T) {
	t.Parallel()
	r, err := anchor.OpenRaft(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	took, err := r.Copy(t.Context(), 2000)
	require.NoError(t, err)
	require.Positive(t, took)
	for _, withRow := range []bool{false, true} {
		perSecond, err := r.Write(t.Context(), 4, withRow, 50*time.Millisecond)
		require.NoError(t, err)
		require.Positive(t, perSecond)
	}
}

func TestAPostgreSQLPairIsProbedUnderLoad(t *testing.T) {
	t.Parallel()
	p, err := anchor.OpenPair(t.Context())
	require.NoError(t, err)
	t.Cleanup(p.Close)
	lags, err := p.Lag(t.Context(), anchor.Load{Rate: 200, Writers: 4, Keys: 100, ProbeEvery: 20 * time.Millisecond,
		Duration: 200 * time.Millisecond})
	require.NoError(t, err)
	require.NotEmpty(t, lags)
	for _, lag := range lags {
		require.Positive(t, lag)
	}
}
