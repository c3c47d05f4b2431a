// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// A write that was classified before the mount was known, and is not made yet, is
// waited for: it would be missed otherwise.
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
