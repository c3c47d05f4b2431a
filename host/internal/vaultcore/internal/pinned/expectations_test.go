// SPDX-License-Identifier: MPL-2.0

package pinned

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each expectation, broken in turn, must be refused with its name in the
// sentence: a check that cannot fail would let an unfit Vault start.
func TestExpectations(t *testing.T) {
	t.Parallel()
	require.NoError(t, check(expectations))
	for i, e := range expectations {
		t.Run(e.owner.Name()+"."+e.field, func(t *testing.T) {
			t.Parallel()
			wrongType := slices.Clone(expectations)
			wrongType[i].typ = "chan struct{}"
			require.ErrorContains(t, check(wrongType), e.field)

			gone := slices.Clone(expectations)
			gone[i].field = e.field + "Gone"
			require.ErrorContains(t, check(gone), "has no field")
		})
	}
}
