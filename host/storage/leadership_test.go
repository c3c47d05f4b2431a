// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A node that leads again after another one goes on above the sequences of the other, and leaves the other's record of
// them alone.
func TestReElectedNodeGoesOnAboveTheOthers(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		first := newPrimary(t, inner)
		put(t, first, key(1), "first")
		before := watermark(t, first)

		second := newPrimary(t, inner)
		for i := range 20 {
			put(t, second, key(i), "second")
		}
		between := watermark(t, second)
		require.Greater(t, between.Term, before.Term)

		require.NoError(t, first.Abandon(ctx))
		_, err := first.Position(replication.DR)
		require.Equal(t, replication.Unavailable, replication.KindOf(err))
		require.NoError(t, first.Activate(ctx, config(replication.DR)))
		put(t, first, key(2), "first again")
		after := watermark(t, first)
		require.Greater(t, after.Term, between.Term)
		require.Greater(t, after.Sequence, between.Sequence)
	})
}
