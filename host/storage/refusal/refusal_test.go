// SPDX-License-Identifier: MPL-2.0

package refusal_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/refusal"
)

func TestMark(t *testing.T) {
	t.Parallel()
	ctx, outer := refusal.With(context.Background())
	inner, mark := refusal.With(ctx)
	beside, other := refusal.With(ctx)
	require.False(t, mark.Noted())
	refusal.Note(context.WithoutCancel(inner))
	require.True(t, mark.Noted())
	require.True(t, outer.Noted(), "what runs inside a request belongs to it")
	require.False(t, other.Noted())
	refusal.Note(beside)
	require.True(t, other.Noted())
	refusal.Note(context.Background())
	var none *refusal.Mark
	require.False(t, none.Noted())
}

func TestCounters(t *testing.T) {
	t.Parallel()
	var c refusal.Counters
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				c.Bump("logical/u/a/b")
				c.Bump("logical/u2/a")
				c.Bump("sys/policy/a")
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(800), c.Of("logical/u/"))
	require.Equal(t, uint64(800), c.Of("sys/"))
	require.Zero(t, c.Of("auth/u/"))
	c.Bump("lone")
	require.Zero(t, c.Of("logical/"))
}
