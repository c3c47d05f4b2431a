// SPDX-License-Identifier: MPL-2.0

package role

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A plugin may overwrite and delete its records when it has as many as it may have.
func TestRecordsOfAPluginAreBounded(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	for i := range stateRecordsMax {
		require.NoError(t, s.core.PutEntry(ctx, statePrefix(perf)+fmt.Sprint("many/", i), []byte("v")))
	}
	host := s.Services(perf)
	require.Equal(t, replication.InvalidInput, replication.KindOf(host.PutState(ctx, "one-too-many", []byte("v"))))
	value, err := host.GetState(ctx, "one-too-many")
	require.NoError(t, err)
	require.Nil(t, value)
	require.NoError(t, host.PutState(ctx, "many/7", []byte("w")))
	require.NoError(t, host.DeleteState(ctx, "many/7"))
	require.NoError(t, host.PutState(ctx, "one-too-many", []byte("v")))
}
