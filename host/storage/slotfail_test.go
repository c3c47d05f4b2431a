// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A slot could not be opened anew, but its record is stored, so the slot is there after a crash. A secondary that goes
// on from it gets all that was written meanwhile, or an error.
func TestSlotThatCouldNotBeOpenedAnew(t *testing.T) {
	t.Parallel()
	type outcome struct {
		landed bool
		err    error
	}
	// The writes of the record: it is deleted, written, and deleted again if that failed.
	for name, writes := range map[string][]outcome{
		"the old record stays":    {{false, errStorage}},
		"the old record is gone":  {{true, errStorage}},
		"no new record":           {{true, nil}, {false, errStorage}},
		"a new record goes again": {{true, nil}, {true, errStorage}},
		"a new record stays":      {{true, nil}, {true, errStorage}, {false, errStorage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			f := newFaulty(t)
			tap := newPrimary(t, f)
			_, err := tap.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			put(t, tap, "core/mounts", "v")
			at := watermark(t, tap)
			f.set(func(keys []string) (bool, error) {
				if !slices.Contains(keys, journal.SlotKey(dr, "s")) || len(writes) == 0 {
					return true, nil
				}
				now := writes[0]
				writes = writes[1:]
				return now.landed, now.err
			}, nil)
			_, err = tap.OpenSlot(ctx, dr, "s")
			require.ErrorIs(t, err, errStorage)
			f.set(nil, nil)
			put(t, tap, "core/auth", "meanwhile")

			// The process ends here.
			next := newPrimary(t, f)
			r, err := next.ReadJournal(ctx, dr, "s", at)
			if err != nil {
				require.Equal(t, replication.NotFound, replication.KindOf(err))
				return
			}
			fr, err := r.Next()
			if err != nil {
				require.Equal(t, replication.PositionLost, replication.KindOf(err))
				return
			}
			rows, err := journal.DecodeFrame(fr.Payload, fr.After, fr.To.Sequence)
			require.NoError(t, err)
			require.Len(t, rows, 1)
			require.Equal(t, "core/auth", rows[0].Ops[0].Key)
		})
	}
}

// The record of a slot belongs to the id in it. Under another name it would retain rows for a secondary that
// acknowledges none.
func TestSlotRecordOfAnotherSlot(t *testing.T) {
	t.Parallel()
	inner := newTxn(t)
	tap := newPrimary(t, inner)
	_, err := tap.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
	require.NoError(t, tap.Close(testContext(t)))
	putInner(t, inner, journal.SlotKey(dr, "other"), get(t, inner, journal.SlotKey(dr, "s")))
	require.ErrorContains(t, newTap(t, inner).Activate(testContext(t), config(dr)), "is that of another slot")
}

// A kill may have left a file beside the record of a slot, with some digits after the slot's name.
func TestFileBesideASlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	inner := withSteps(t, b)
	tap := newPrimary(t, inner)
	_, err = tap.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
	require.NoError(t, tap.Close(testContext(t)))
	key := journal.SlotKey(dr, "s")
	name := filepath.Join(dir, filepath.Dir(key), "_"+filepath.Base(key))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name+"7", whole, 0o600))
	require.NoError(t, os.WriteFile(name+"4294967295", whole[:9], 0o600))
	tap = newPrimary(t, inner)
	_, err = tap.OpenSlot(testContext(t), dr, "s")
	require.NoError(t, err)
}
