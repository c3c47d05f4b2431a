// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The error names a full disk and says what to do, however deep the storage wrapped it.
func TestFullDiskIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	for name, full := range map[string]error{
		"as an error": fmt.Errorf("writing: %w", &os.PathError{Op: "write", Path: "/data/x", Err: syscall.ENOSPC}),
		"as a text":   errors.New("raft: write /data/raft.db: no space left on device"),
	} {
		primary := newPrimary(t, newTxn(t))
		at, err := primary.OpenSlot(ctx, dr, "s")
		require.NoError(t, err)
		f := newFaulty(t)
		secondary := newTap(t, f)
		copyAll(t, primary, secondary, dr, at)
		put(t, primary, key(1), "v")
		r, err := primary.ReadJournal(ctx, dr, "s", at)
		require.NoError(t, err)
		frame, err := r.Next()
		require.NoError(t, err)
		f.set(func([]string) (bool, error) { return false, full }, nil)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
		require.ErrorContains(t, err, "the disk of this cluster is full, so the storage failed to apply what the primary "+
			"wrote; make room on it", name)
		require.Equal(t, replication.StorageFailed, replication.KindOf(err))
		f.set(func([]string) (bool, error) { return false, errStorage }, nil)
		_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
		require.ErrorIs(t, err, errStorage)
		require.NotContains(t, err.Error(), "full")
	}
}

// Without room nothing is written at all. With room again, applying goes on.
func TestNothingIsAppliedWithoutRoom(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	var room error
	primary, secondary, at := pair(t, newTxn(t), func(o *storage.Options) { o.Room = func() error { return room } })
	put(t, primary, key(1), "v")
	r, err := primary.ReadJournal(ctx, dr, "s", at)
	require.NoError(t, err)
	frame, err := r.Next()
	require.NoError(t, err)
	before := content(t, secondary, dr)
	room = fmt.Errorf("/data has 3 MiB free: %w", syscall.ENOSPC)
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.ErrorContains(t, err, "the disk of this cluster is full")
	require.ErrorContains(t, err, "3 MiB free")
	require.Equal(t, before, content(t, secondary, dr))
	room = nil
	_, err = secondary.Secondary(dr).ApplyFrame(ctx, frame)
	require.NoError(t, err)
	require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
}
