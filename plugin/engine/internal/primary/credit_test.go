// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func at(sequence uint64) replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "a"}, Sequence: sequence}
}

func frame(to uint64, size int) *replication.Frame {
	return &replication.Frame{After: to - 1, To: at(to), Payload: make([]byte, size)}
}

func full(c *credit) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return c.wait(ctx) != nil
}

func TestCreditCountsBytesAndFrames(t *testing.T) {
	t.Parallel()
	c := newCredit(100, 3, at(5))
	require.False(t, full(c))
	c.sent(frame(6, 1000))
	require.True(t, full(c), "a frame above the window passes alone")
	require.NoError(t, c.acknowledge(at(6)))
	require.False(t, full(c))
	for i := range uint64(3) {
		c.sent(frame(7+i, 1))
	}
	require.True(t, full(c), "three frames")
	require.NoError(t, c.acknowledge(at(8)), "an acknowledgement covers all before it")
	c.sent(frame(10, 99))
	require.True(t, full(c), "a hundred bytes")
}

// Catching up is not held back by the number of frames.
func TestCreditCountsFullFramesInBytesAlone(t *testing.T) {
	t.Parallel()
	c := newCredit(5*fullFrame, 2, at(0))
	for i := range uint64(4) {
		c.sent(frame(i+1, fullFrame))
	}
	require.False(t, full(c), "four full frames")
	c.sent(frame(5, 10))
	require.False(t, full(c), "and a small one")
	c.sent(frame(6, 10))
	require.True(t, full(c), "two small ones")
	require.NoError(t, c.acknowledge(at(5)))
	require.False(t, full(c), "a small one was acknowledged")
	for i := range uint64(5) {
		c.sent(frame(7+i, fullFrame))
	}
	require.True(t, full(c), "the window in bytes")
}

func TestCreditRefusesWhatWasNotSent(t *testing.T) {
	t.Parallel()
	c := newCredit(100, 3, at(5))
	require.Error(t, c.acknowledge(at(6)))
	c.sent(frame(6, 1))
	require.Error(t, c.acknowledge(at(7)))
	require.Error(t, c.acknowledge(at(4)))
	other := at(6)
	other.Epoch.ID = "b"
	require.Error(t, c.acknowledge(other))
	require.NoError(t, c.acknowledge(at(6)))
}

func TestCreditWakesTheSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCredit(1, 1, at(0))
		c.sent(frame(1, 1))
		done := make(chan error, 1)
		go func() { done <- c.wait(t.Context()) }()
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, c.acknowledge(at(1)))
		require.NoError(t, <-done)
	})
}
