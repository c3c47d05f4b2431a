// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestForwardsAreBounded(t *testing.T) {
	t.Parallel()
	f := link.NewForwards(link.Capabilities())
	enter := func(size int) func() {
		leave, err := f.Enter(size)
		require.NoError(t, err)
		return leave
	}
	refused := func(size int) {
		_, err := f.Enter(size)
		require.Equal(t, replication.Unavailable, replication.KindOf(err), "%v", err)
	}
	_, err := f.Enter(replication.PayloadMax + 1)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%v", err)
	for range link.ForwardBytesMax/replication.PayloadMax - 1 {
		defer enter(replication.PayloadMax)()
	}
	last := enter(replication.PayloadMax)
	refused(1)
	enter(0)()
	last()
	for range link.ForwardsMax - 3 {
		defer enter(1)()
	}
	refused(1)
}

// The requests over the bound wait for their turn, in the order in which they came.
func TestForwardsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		capabilities []string
		most         int
	}{
		"a primary of this release": {link.Capabilities(), link.ForwardsMax}, "an older primary": {nil, 256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := link.NewForwards(c.capabilities)
				var leaves []func()
				for range c.most {
					leave, err := f.Wait(t.Context(), 1)
					require.NoError(t, err)
					leaves = append(leaves, leave)
				}
				_, err := f.Enter(1)
				require.Equal(t, replication.Unavailable, replication.KindOf(err))
				came := make(chan int, 3)
				for i := range 3 {
					go func() {
						leave, err := f.Wait(t.Context(), 1)
						require.NoError(t, err)
						came <- i
						leave()
					}()
					synctest.Wait()
				}
				require.Empty(t, came)
				leaves[0]()
				for i := range 3 {
					require.Equal(t, i, <-came)
				}
			})
		})
	}
}

// A request whose turn does not come is refused with a sentence, and gives back what it had.
func TestForwardsThatWaitInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := link.NewForwards(link.Capabilities())
		full, err := f.Wait(t.Context(), replication.PayloadMax)
		require.NoError(t, err)
		for range link.ForwardBytesMax/replication.PayloadMax - 1 {
			_, err := f.Wait(t.Context(), replication.PayloadMax)
			require.NoError(t, err)
		}
		begun := time.Now()
		_, err = f.Wait(t.Context(), 1)
		require.Equal(t, replication.Unavailable, replication.KindOf(err))
		require.ErrorContains(t, err, "has not come in time")
		require.Equal(t, link.ForwardWait, time.Since(begun))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = f.Wait(ended, 1)
		require.Equal(t, replication.Unreachable, replication.KindOf(err))
		require.ErrorIs(t, err, context.Canceled)

		refused := make(chan error, link.ForwardsWaiting+1)
		for range link.ForwardsWaiting + 1 {
			go func() {
				_, err := f.Wait(t.Context(), 1)
				refused <- err
			}()
		}
		require.ErrorContains(t, <-refused, "4096 more wait")
		require.Less(t, time.Since(begun), 2*link.ForwardWait)
		for range link.ForwardsWaiting {
			require.ErrorContains(t, <-refused, "has not come in time")
		}
		full()
		for range 4 * link.ForwardsMax { // nothing was kept by those that waited in vain
			leave, err := f.Wait(t.Context(), replication.PayloadMax)
			require.NoError(t, err)
			leave()
		}
	})
}

func TestErrorsOfForwardedRequests(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		sent bool
		code codes.Code
		want replication.Kind
	}{
		"refused":              {t.Context(), true, codes.PermissionDenied, replication.Denied},
		"too many":             {t.Context(), true, codes.Aborted, replication.Unavailable},
		"refused before":       {t.Context(), false, codes.Aborted, replication.Unavailable},
		"fault":                {t.Context(), true, codes.Internal, replication.Uncertain},
		"cut":                  {t.Context(), true, codes.Unavailable, replication.Uncertain},
		"cut before":           {t.Context(), false, codes.Unavailable, replication.Unreachable},
		"the primary gave up":  {t.Context(), true, codes.DeadlineExceeded, replication.Uncertain},
		"answer too large":     {t.Context(), true, codes.ResourceExhausted, replication.Uncertain},
		"an older primary":     {t.Context(), true, codes.Unimplemented, replication.InvalidInput},
		"nobody waits":         {ended, true, codes.Canceled, replication.Uncertain},
		"nobody waited":        {ended, false, codes.Canceled, replication.Unreachable},
		"the host is not sure": {t.Context(), true, codes.Unknown, replication.Uncertain},
	} {
		err := link.FromForward(c.ctx, c.sent, status.Error(c.code, "why"))
		require.Equal(t, c.want, replication.KindOf(err), "%s: %v", name, err)
	}
}
