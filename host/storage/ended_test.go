// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Nothing is retained for the secondaries of a mode that has ended, in this term or an
// earlier one, and its index does not go on.
func TestModeThatEnded(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newTap(t, inner)
		withMounts(t, tap)
		require.NoError(t, tap.Activate(ctx, config(dr, perf)))
		_, err := tap.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		_, err = tap.OpenSlot(ctx, perf, "west")
		require.NoError(t, err)
		put(t, tap, key(0), "v")
		fingerprintOf(t, tap, perf)
		tap.Indexes().Store(ctx)
		require.Equal(t, replication.InvalidInput, replication.KindOf(tap.Forget(ctx, perf)), "it is in use")

		require.NoError(t, tap.Activate(ctx, config(dr)))
		f, _ := tap.Indexes().Fingerprint(perf)
		require.Nil(t, f, "its index goes on")
		for i := range 1500 {
			put(t, tap, key(i), "v")
		}
		require.NoError(t, tap.AckSlot(ctx, dr, "s", watermark(t, tap)))
		require.Eventually(t, func() bool { return rowsStored(t, inner) == 0 }, waitMax, tick, "rows are retained for a "+
			"slot of the mode that ended")

		require.NoError(t, tap.Forget(ctx, perf))
		for _, dir := range []string{"replication/performance/slots/", "index/pages/"} {
			names, err := inner.List(ctx, dir)
			require.NoError(t, err)
			require.Empty(t, names)
		}
		names, err := inner.List(ctx, "replication/dr/slots/")
		require.NoError(t, err)
		require.Len(t, names, 1, "the other mode goes on")
	})
}
