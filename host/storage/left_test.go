// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
)

// Each range says about how many keys follow, whether all of the content goes to the secondary,
// which the index counts, or a part of it, which nobody has counted.
func TestRangesSayHowManyKeysAreLeft(t *testing.T) {
	t.Parallel()
	for _, slot := range []string{"all", "some"} {
		t.Run(slot, func(t *testing.T) {
			t.Parallel()
			backends(t, func(t *testing.T, inner physical.Backend) {
				primary := newTap(t, inner, func(o *storage.Options) { o.RangeBytes = 16 << 10 })
				withMounts(t, primary)
				require.NoError(t, primary.Activate(testContext(t), config(perf)))
				sent := uint64(0)
				for i := range 1200 {
					view := []string{"kv", "pki", "lkv"}[i%3] // the last one is local
					put(t, primary, fmt.Sprintf("logical/%s/%02d/%04d", view, i%20, i), strings.Repeat("v", 100))
					if view == "kv" || view == "pki" && slot == "all" {
						sent++
					}
				}
				require.NoError(t, primary.SetFilter(testContext(t), perf, "some",
					func(key string) bool { return strings.HasPrefix(key, "logical/kv/") }))
				fingerprintOf(t, primary, perf)
				requireLeft(t, primary, slot, sent)
			})
		})
	}
}

// requireLeft reads all ranges. What was read and what is left is about all, and at the end nothing is.
func requireLeft(t *testing.T, primary *storage.Tap, slot string, all uint64) {
	t.Helper()
	read, after := uint64(0), ""
	for {
		rng, err := primary.ReadRange(testContext(t), perf, slot, after)
		require.NoError(t, err)
		read += rng.Keys
		if rng.Last {
			require.Zero(t, rng.Left)
			break
		}
		require.NotZero(t, rng.Left)
		require.InDelta(t, all, read+rng.Left, float64(all), "after %d", read)
		after = rng.UpTo
	}
	require.Equal(t, all, read)
}
