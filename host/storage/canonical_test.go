// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Two spellings that file storage takes for one key are one key in the fingerprint too, whether it is kept up to date
// or computed anew.
func TestFingerprintOfKeysThatFileStorageTakesForOne(t *testing.T) {
	t.Parallel()
	pathKeys := func(o *storage.Options) { o.PathKeys = true }
	inner := newFile(t)
	tap := newPrimary(t, inner, pathKeys)
	put(t, tap, "logical/u/crls/x", "1")
	put(t, tap, "logical/u/crls//x", "2")
	put(t, tap, "logical/u/./crls/y", "3")
	require.Equal(t, "2", get(t, tap.Backend(), "logical/u/crls/x"))
	names, err := tap.Backend().List(testContext(t), "logical/u//crls/")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"x", "y"}, names)
	kept := fingerprintOf(t, tap, replication.DR)
	require.NoError(t, tap.Close(testContext(t)))

	anew := newPrimary(t, inner, pathKeys)
	require.Equal(t, fingerprintOf(t, anew, replication.DR), kept)
}
