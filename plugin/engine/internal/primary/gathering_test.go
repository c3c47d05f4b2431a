// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// waited sends a frame of some bytes and returns how long the next frame waits if its row comes after a pause.
func waited(t *testing.T, g *gathering, bytes int, pause time.Duration) time.Duration {
	g.sent(frame(1, bytes))
	time.Sleep(pause)
	begun := time.Now()
	require.NoError(t, g.wait(t.Context()))
	return time.Since(begun)
}

func TestGatheringWaitsByTheBytesOfTheFrameBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gathering{rate: 1000, longest: 40 * time.Millisecond}
		require.NoError(t, g.wait(t.Context()), "the first frame waits for nothing")
		require.Equal(t, 10*time.Millisecond, waited(t, g, 10, 0))
		require.Equal(t, 4*time.Millisecond, waited(t, g, 10, 6*time.Millisecond), "a part of it is over")
		require.Zero(t, waited(t, g, 10, 10*time.Millisecond), "writes come seldom")
		require.Equal(t, 40*time.Millisecond, waited(t, g, 1000, 0), "the longest")
		require.Zero(t, waited(t, g, fullFrame, 0), "a full frame: the secondary catches up")
		require.Zero(t, waited(t, &gathering{}, 1000, 0), "a mode that does not gather")
	})
}

// Below some rate no frame waits. Above it frames grow to what comes within the longest wait.
func TestGatheringBeginsAtARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for perSecond, want := range map[int]time.Duration{800: 0, 1200: 40 * time.Millisecond} {
			g := &gathering{rate: 1000, longest: 40 * time.Millisecond}
			// A frame has the rows that came since the last one, and takes 10 ms by itself.
			interval := 10 * time.Millisecond
			var wait time.Duration
			for range 50 {
				bytes := int(time.Duration(perSecond) * interval / time.Second)
				wait = waited(t, g, bytes, 10*time.Millisecond)
				interval = 10*time.Millisecond + wait
			}
			require.Equal(t, max(0, want-10*time.Millisecond), wait, "%d bytes a second", perSecond)
		}
	})
}

func TestGatheringEndsWithItsStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("over")
		g := &gathering{rate: 1, longest: time.Hour}
		g.sent(frame(1, 1<<10))
		time.AfterFunc(time.Second, func() { cancel(over) })
		begun := time.Now()
		require.ErrorIs(t, g.wait(ctx), over)
		require.Equal(t, time.Second, time.Since(begun))
	})
}
