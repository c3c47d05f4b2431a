// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"
)

// A node that has lost its leadership does not wait for a storage that does not answer.
func TestAbandonWhileUnsettled(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	fingerprintOf(t, tap, dr)
	f.set(failWritesOf("core/mounts", true), func(key string) error {
		if key == "core/mounts" {
			return errStorage
		}
		return nil
	})
	require.ErrorIs(t, tap.Backend().Put(ctx, &physical.Entry{Key: "core/mounts", Value: []byte("v")}), errStorage)
	require.NoError(t, tap.Abandon(ctx))
	f.set(nil, nil)
	put(t, tap, "core/mounts", "w")
}

// The value before a write could not be read, so all is read anew. The written key is in the fingerprint.
func TestFingerprintOfWriteOverUnreadKey(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newTap(t, f)
	put(t, tap, "logical/uuid/z", "v")
	require.NoError(t, tap.StartFingerprint(ctx, dr, indexKey))
	fingerprintOf(t, tap, dr)
	var unread atomic.Bool
	f.set(func(keys []string) (bool, error) {
		if slices.Contains(keys, "logical/uuid/a") {
			// A new pass that begins before the write has landed ends before it.
			fingerprintOf(t, tap, dr)
		}
		return true, nil
	}, func(key string) error {
		if key == "logical/uuid/a" && !unread.Swap(true) {
			return errStorage
		}
		return nil
	})
	put(t, tap, "logical/uuid/a", "made")
	got := fingerprintOf(t, tap, dr)
	_, keys := tap.Indexes().Fingerprint(dr)
	require.Equal(t, uint64(2), keys)
	again := newTap(t, f.TransactionalBackend)
	require.NoError(t, again.StartFingerprint(ctx, dr, indexKey))
	require.Equal(t, fingerprintOf(t, again, dr), got)
	require.True(t, unread.Load())
}
