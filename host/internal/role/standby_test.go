// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
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
	raw, err := s.roles.Record().encode()
	require.NoError(t, err)
	require.NoError(t, s.core.PutEntry(ctx, recordKey, raw))
	s.stands(t, journal.Cursor{})
	s.roles.bootstrapping.Store(true)
	s.Set().Forwarded(at)
	require.NoError(t, s.term.followRole(ctx))
	require.True(t, s.roles.bootstrapping.Load())
	require.NotNil(t, s.roles.forwarded.Load(), "nothing was read anew")
	s.stands(t, journal.Cursor{Position: at})
	require.NoError(t, s.term.followRole(ctx))
	require.False(t, s.roles.bootstrapping.Load())
	require.Nil(t, s.roles.forwarded.Load())
}

// What a journal has left goes with the next leadership, if the one that ended it was too short.
func TestALeadershipDeletesWhatAJournalLeft(t *testing.T) {
	t.Parallel()
	s := newStanding(t)
	duty, end := context.WithCancel(t.Context())
	defer end()
	key := journal.RowKey(1, 1)
	require.NoError(t, s.store.Put(duty, &physical.Entry{Key: key, Value: []byte("row")}))
	s.becameActive(duty)
	require.Eventually(t, func() bool {
		e, err := s.store.Get(duty, key)
		return err == nil && e == nil
	}, time.Minute, time.Millisecond)
}

// A node that has stepped down keeps its keys, and on raft it may get the leadership of the
// storage before it leads the cluster: until then it writes nothing that is replicated.
func TestANodeThatHasSteppedDownWritesNothing(t *testing.T) {
	t.Parallel()
	eachKill(t, func(t *testing.T, k kill) {
		ctx := t.Context()
		s := newSet(t, k)
		p := open(t, k, newDisk(s.primary), s.share)
		require.NoError(t, p.core.PutEntry(ctx, keys.SharesRow, []byte("{}")))
		p.becameInactive()
		require.ErrorIs(t, p.core.PutEntry(ctx, keys.SharesRow, []byte("{}")), logical.ErrReadOnly)
		p.changes.goOn(ctx)
		require.ErrorIs(t, p.core.PutEntry(ctx, keys.SharesRow, []byte("{}")), logical.ErrReadOnly,
			"a change of role that fails now opens nothing")
		require.NoError(t, p.core.PutEntry(ctx, records.Prefix+"own", []byte("{}")), "what is its own it may write")
		require.NoError(t, p.storage.LeadershipBegins(ctx))
		require.NoError(t, p.core.PutEntry(ctx, keys.SharesRow, []byte("{}")))
	})
}
