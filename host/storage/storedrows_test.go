// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// When a block is stored, its former row is deleted, and so are the rows of the blocks that it
// was made of. Two rows with the same keys would make the whole stored index invalid.
func TestRowsOfMergedBlocksAreDropped(t *testing.T) {
	t.Parallel()
	inner := newTxn(t)
	fillInner(t, inner, manyKeys)
	tap := newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	tap.Indexes().Store(testContext(t))
	before := storedRows(t, inner)

	// Without the key that the first block ends at it is a part of the second one.
	h := fingerprint.NewHasher(indexKey)
	var first *fingerprint.Stored
	for name, row := range before {
		if strings.HasSuffix(name, "/head") {
			continue
		}
		b, err := h.Decode("index-dr/pages/"+name, []byte(row))
		require.NoError(t, err)
		if b.After == "" {
			first = b
		}
	}
	require.NotNil(t, first)
	del(t, tap, first.UpTo())
	require.Len(t, storedRows(t, inner), len(before)-1)
	tap.Indexes().Store(testContext(t))
	require.NoError(t, tap.Abandon(testContext(t)))

	tap = newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	require.Zero(t, tap.Indexes().State(dr).Read)
	requireRoot(t, tap)
}
