// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A node that loses its leadership must be able to end its journal while a new mount waits for a write in doubt: that
// write itself waits for the end of the journal.
func TestAbandonEndsWhatAMountWaitsFor(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*storage.Tap, context.Context) error{
		"abandoned": (*storage.Tap).Abandon, "deactivated": (*storage.Tap).Deactivate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFaulty(t)
				tap, secondary, _, _ := perfPair(t, f)
				defer func() { _ = errors.Join(tap.Close(context.Background()), secondary.Close(context.Background())) }()
				f.set(func([]string) (bool, error) { return true, errStorage }, func(string) error { return errStorage })
				require.Error(t, tap.Backend().Put(t.Context(), &physical.Entry{Key: key(1), Value: []byte("v")}))
				waits := make(chan error, 1)
				go func() { waits <- tap.Reclassify(t.Context(), "logical/ext/") }()
				synctest.Wait()
				require.Empty(t, waits)
				// What they store may fail as well. That they end is what counts.
				t.Log(end(tap, t.Context()), <-waits)
				f.set(nil, nil)
			})
		})
	}
}

// A write may be classified before its mount is known and made afterwards. Reclassify waits for it, or it would be
// missed.
func TestReclassifyWaitsForWrites(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	f := newFaulty(t)
	primary, secondary, pm, sm := perfPair(t, f)
	started, release := make(chan struct{}), make(chan struct{})
	f.set(func(keys []string) (bool, error) {
		if slices.Contains(keys, "logical/ext/a") {
			close(started)
			<-release
		}
		return true, nil
	}, nil)
	written := make(chan error, 1)
	go func() {
		written <- primary.Backend().Put(ctx, &physical.Entry{Key: "logical/ext/a", Value: []byte("v")})
	}()
	<-started
	pm.SetLocalPrefixes("ext", nil)
	sm.SetLocalPrefixes("ext", nil)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.Equal(t, replication.Unavailable, replication.KindOf(primary.Reclassify(ended, "logical/ext/")),
		"the write is under way")
	done := make(chan error, 1)
	go func() { done <- primary.Reclassify(ctx, "logical/ext/") }()
	close(release)
	require.NoError(t, <-written)
	require.NoError(t, <-done)
	catchUp(t, primary, secondary)
	require.Equal(t, "v", get(t, secondary.Inner(), "logical/ext/a"))
	requireSame(t, primary, secondary)
}

// recordTold makes a primary classify by the record that its core writes, as the host does.
func recordTold(tap *storage.Tap, m *keyclass.Mounts) {
	tap.OnTableWrite(func(ctx context.Context, key string, value []byte) error {
		if key != keyclass.DeclaredKey {
			return nil
		}
		d, err := keyclass.DecodeDeclared(value)
		if err != nil {
			return err
		}
		return tap.Reclassify(ctx, m.SetRecorded(d)...)
	})
}

// The classes of a view have changed, and the call that should deal with its keys fails. The secondaries get the keys
// and the indexes count them all the same, without another call.
func TestReclassifyThatFailedIsDoneLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty(t)
		primary, secondary, pm, sm := perfPair(t, f)
		put(t, primary, "logical/ext/a", "v")
		catchUp(t, primary, secondary)
		require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/ext/a"), "it is held back")
		pm.SetRecorded(keyclass.Declared{"ext": nil})
		sm.SetRecorded(keyclass.Declared{"ext": nil})
		f.set(nil, failReadsOf("logical/ext/a"))
		require.ErrorIs(t, primary.Reclassify(t.Context(), "logical/ext/"), errStorage)
		f.set(nil, nil)
		time.Sleep(time.Minute)
		catchUp(t, primary, secondary)
		require.Equal(t, "v", get(t, secondary.Inner(), "logical/ext/a"))
		requireSame(t, primary, secondary)
		requireRootOf(t, primary, perf)
	})
}

// The record of what backends declare cannot be written. The classes of keys follow what is stored, the index counts by
// them, and a deletion that was held back is not forgotten.
func TestDeclarationThatIsNotStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty(t)
		primary, secondary, pm, sm := perfPair(t, f)
		recordTold(primary, pm)
		followRecord(t, secondary, sm)
		record, err := keyclass.Declared{"ext": {"here/"}}.Encode()
		require.NoError(t, err)
		declare := func() error {
			return primary.Backend().Put(t.Context(), &physical.Entry{Key: keyclass.DeclaredKey, Value: record})
		}
		for name, unread := range map[string]string{
			"writing fails": "none", "reading the record too": keyclass.DeclaredKey, "reading the keys": "logical/ext/gone",
		} {
			require.NoError(t, declare())
			put(t, primary, "logical/ext/gone", "v")
			put(t, primary, keyclass.DeclaredKey, "{}")
			catchUp(t, primary, secondary)
			require.Equal(t, "v", get(t, secondary.Inner(), "logical/ext/gone"))
			put(t, primary, "logical/ext/a", name)
			del(t, primary, "logical/ext/gone")

			f.set(failWritesOf(keyclass.DeclaredKey, false), failReadsOf(unread))
			require.ErrorIs(t, declare(), errStorage, name)
			f.set(nil, nil)
			time.Sleep(time.Minute)
			require.Equal(t, keyclass.Unknown, primary.Classes().Class("logical/ext/a"), name)
			requireRootOf(t, primary, perf)

			require.NoError(t, declare())
			catchUp(t, primary, secondary)
			require.Equal(t, "<none>", get(t, secondary.Inner(), "logical/ext/gone"), name)
			require.Equal(t, name, get(t, secondary.Inner(), "logical/ext/a"))
			requireSame(t, primary, secondary)
			requireRootOf(t, primary, perf)
		}
	})
}

// failReadsOf fails reads of one key.
func failReadsOf(unread string) func(string) error {
	return func(key string) error {
		if key == unread {
			return errStorage
		}
		return nil
	}
}
