// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Requests of all secondaries together are bounded: one more waits for room, as long as
// its caller does, and nothing is executed before.
func TestRequestsWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRelation()
		executed := 0
		r.server.Handle("do", func(context.Context, string, []byte) ([]byte, error) { executed++; return nil, nil })
		_, _, err := r.Call(t.Context(), "do", nil)
		require.NoError(t, err)

		require.NoError(t, r.server.room.Acquire(t.Context(), underWay))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err = r.Call(ctx, "do", nil)
		require.Equal(t, replication.Unreachable, replication.KindOf(err))
		require.Equal(t, 1, executed)
		r.server.room.Release(underWay)
		_, _, err = r.Call(t.Context(), "do", nil)
		require.NoError(t, err)
		require.Equal(t, 2, executed)
	})
	r := newRelation()
	_, err := r.server.Serve(t.Context(), "eu", make([]byte, replication.PayloadMax+1))
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
}
