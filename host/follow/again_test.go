// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// What could not be taken up is with whatever comes next, until it succeeds.
func TestWhatFailedIsTakenUpWithTheNext(t *testing.T) {
	t.Parallel()
	var a Again
	var got [][]string
	failed := errors.New("storage is busy")
	take := func(fail error, keys ...string) error {
		return a.Take(t.Context(), keys, func(_ context.Context, keys []string) error {
			got = append(got, keys)
			return fail
		})
	}
	require.NoError(t, take(nil))
	require.Empty(t, got, "there was nothing to do")
	require.ErrorIs(t, take(failed, "b"), failed)
	require.ErrorIs(t, take(failed, "a"), failed)
	require.NoError(t, take(nil))
	require.NoError(t, take(nil, "c"))
	require.Equal(t, [][]string{{"b"}, {"a", "b"}, {"a", "b"}, {"c"}}, got)

	require.ErrorIs(t, take(failed, "d"), failed)
	a.Forget()
	require.NoError(t, take(nil))
	require.Len(t, got, 5)
}
