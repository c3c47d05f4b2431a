// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
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
