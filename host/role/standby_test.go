// SPDX-License-Identifier: MPL-2.0

package role

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// A standby whose seal does not answer is not left sealed for ever.
func TestSealingIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, calls, failures := time.Now(), 0, 0
		again(sealRetry, func() error {
			if calls++; calls < 4 {
				return errors.New("the provider of the seal does not answer")
			}
			return nil
		}, func(error) { failures++ })
		require.Equal(t, 4, calls)
		require.Equal(t, 3, failures)
		require.Equal(t, 3*sealRetry, time.Since(begun))
	})
}

// While a performance secondary copies, its standbys have nothing new to take up.
func TestStandbyTakesUpTheEndOfTheFirstCopy(t *testing.T) {
	t.Parallel()
	s := newStanding(t)
	ctx := t.Context()
	raw, err := s.Record().encode()
	require.NoError(t, err)
	require.NoError(t, s.core.PutEntry(ctx, recordKey, raw))
	s.stands(t, journal.Cursor{})
	s.bootstrapping.Store(true)
	s.forwarded.Store(1)
	require.NoError(t, s.followRole(ctx))
	require.True(t, s.bootstrapping.Load())
	require.EqualValues(t, 1, s.forwarded.Load(), "nothing was read anew")
	s.stands(t, journal.Cursor{Position: at})
	require.NoError(t, s.followRole(ctx))
	require.False(t, s.bootstrapping.Load())
	require.Zero(t, s.forwarded.Load())
}
