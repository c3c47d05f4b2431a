// SPDX-License-Identifier: MPL-2.0

package lock

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Many callers may be inside together. A caller that must be alone waits for them, and nobody overtakes a waiting
// caller.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRoom()
		leave, err := r.Enter(t.Context())
		require.NoError(t, err)
		leaveToo, err := r.Enter(t.Context())
		require.NoError(t, err)

		alone, entered := false, false
		out := make(chan struct{})
		go func() {
			done, err := r.Alone(t.Context())
			if err == nil {
				alone = true
				<-out
				done()
			}
		}()
		synctest.Wait()
		go func() {
			leave, err := r.Enter(t.Context())
			if err == nil {
				entered = true
				leave()
			}
		}()
		synctest.Wait()
		require.False(t, alone)
		require.False(t, entered, "somebody waits to be alone")
		leave()
		synctest.Wait()
		require.False(t, alone, "one is still inside")
		leaveToo()
		synctest.Wait()
		require.True(t, alone)
		require.False(t, entered)
		close(out)
		synctest.Wait()
		require.True(t, entered)
	})
}

// Waiting ends with its context, and leaves the room as it was.
func TestRoomWaitsNoLongerThanItsCaller(t *testing.T) {
	t.Parallel()
	r := NewRoom()
	over, end := context.WithCancel(t.Context())
	end()
	leave, err := r.Enter(t.Context())
	require.NoError(t, err)
	_, err = r.Alone(over)
	require.ErrorIs(t, err, context.Canceled)
	leave()
	done, err := r.Alone(t.Context())
	require.NoError(t, err)
	_, err = r.Enter(over)
	require.ErrorIs(t, err, context.Canceled)
	done()
	leave, err = r.Enter(t.Context())
	require.NoError(t, err)
	leave()
}
