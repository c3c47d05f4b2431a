// SPDX-License-Identifier: MPL-2.0

package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// The numbers are part of the wire format, the statuses of the API.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[replication.Kind]struct{ number, status int }{
		replication.Internal:      {0, 500},
		replication.InvalidInput:  {1, 400},
		replication.Denied:        {2, 403},
		replication.Unavailable:   {3, 503},
		replication.PositionLost:  {4, 500},
		replication.NotFound:      {5, 404},
		replication.Unreachable:   {6, 502},
		replication.StorageFailed: {7, 500},
		replication.Uncertain:     {8, 409},
	} {
		require.EqualValues(t, want.number, kind)
		require.Equal(t, want.status, kind.HTTPStatus(), kind)
	}
	require.Equal(t, 500, replication.Kind(99).HTTPStatus(), "a kind of a later release")
}
