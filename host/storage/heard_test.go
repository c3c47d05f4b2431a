// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// When a secondary was last heard of is kept with its slot, over a crash and over an orderly end.
func TestHeardIsKeptOverARestart(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		tap := newPrimary(t, inner)
		at, err := tap.OpenSlot(ctx, dr, "west")
		require.NoError(t, err)
		opened := tap.Slots(dr)[0].Heard
		require.NoError(t, tap.Abandon(ctx))

		record := func() *journal.Slot {
			e, err := inner.Get(ctx, journal.SlotKey(dr, "west"))
			require.NoError(t, err)
			rec, err := journal.DecodeSlot(e.Value)
			require.NoError(t, err)
			return rec
		}
		require.NotZero(t, record().Heard)
		require.LessOrEqual(t, record().Heard, opened.Unix())
		restart := func(heard int64) {
			b, err := (&journal.Slot{ID: "west", Acked: at, Opened: at.Sequence, Heard: heard}).Encode()
			require.NoError(t, err)
			require.NoError(t, inner.Put(ctx, &physical.Entry{Key: journal.SlotKey(dr, "west"), Value: b}))
			tap = newPrimary(t, inner)
		}
		restart(1000)
		require.Equal(t, time.Unix(1000, 0), tap.Slots(dr)[0].Heard)
		require.NoError(t, tap.Deactivate(ctx))
		require.EqualValues(t, 1000, record().Heard)

		lately := time.Now().Unix() - 5 // so lately that no heartbeat is written before the end
		restart(lately)
		require.NoError(t, tap.SlotSeen(dr, "west"))
		heard := tap.Slots(dr)[0].Heard
		require.Greater(t, heard.Unix(), lately)
		require.NoError(t, tap.Deactivate(ctx))
		require.Equal(t, heard.Unix(), record().Heard)
	})
}
