// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The rows of a journal that has ended are deleted in few transactions, also after an error. Rows of a running journal
// stay.
func TestFormerRowsAreDeleted(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	tap := newPrimary(t, f)
	_, err := tap.OpenSlot(ctx, dr, "s")
	require.NoError(t, err)
	for i := range 200 {
		put(t, tap, key(i), "v")
	}
	rows := rowsStored(t, f)
	require.GreaterOrEqual(t, rows, 200)
	require.NoError(t, tap.DeleteFormerRows(ctx))
	require.Equal(t, rows, rowsStored(t, f), "the journal runs")
	require.NoError(t, tap.Deactivate(ctx))
	f.set(func([]string) (bool, error) { return false, errStorage }, nil)
	require.Error(t, tap.DeleteFormerRows(ctx))
	transactions := 0
	f.set(func([]string) (bool, error) { transactions++; return true, nil }, nil)
	require.NoError(t, tap.DeleteFormerRows(ctx))
	require.Zero(t, rowsStored(t, f))
	require.Less(t, transactions, rows/10)
}
