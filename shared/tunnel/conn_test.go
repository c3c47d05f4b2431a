// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/vault-replication/vault-replication/shared/tunnel"
)

func TestConnIsANetConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t)
		return a, b, func() { a.Close(); b.Close(); <-a.Done(); <-b.Done() }, nil
	})
}

func TestHalfCloseKeepsTheOtherDirection(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]bool{"client closes": false, "server closes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			if swap {
				a, b = b, a
			}
			question, answer := random(t, 300_000), random(t, 200_000)
			go func() {
				_, _ = a.Write(question)
				_ = a.CloseWrite()
			}()
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.True(t, bytes.Equal(question, got), "the question arrives whole")

			_, err = a.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE, "a half-closed end cannot write")

			go func() {
				_, _ = b.Write(answer)
				_ = b.Close()
			}()
			got, err = io.ReadAll(a)
			require.NoError(t, err)
			require.True(t, bytes.Equal(answer, got), "the answer arrives whole")
		})
	}
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]bool{"client closes": false, "server closes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			if swap {
				a, b = b, a
			}
			last := random(t, tunnel.ChunkSize)
			_, err := a.Write(last)
			require.NoError(t, err)
			require.NoError(t, a.Close())
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.True(t, bytes.Equal(last, got))
			<-a.Done()
			<-b.Done()
			_, err = b.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE, "nobody is there any more")
			_, err = a.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
		})
	}
}

func TestCloseEndsBlockedReadAndWrite(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	errs := make(chan error, 2)
	go func() {
		_, err := a.Read(make([]byte, 1))
		errs <- err
	}()
	wrote := make(chan struct{}, 1<<10)
	go func() {
		for {
			if _, err := a.Write(make([]byte, 4096)); err != nil {
				errs <- err
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	<-wrote
	require.NoError(t, a.Close())
	require.ErrorIs(t, <-errs, net.ErrClosed)
	require.ErrorIs(t, <-errs, net.ErrClosed)
}

// The other end does not read: what a writer can get rid of is bounded.
func TestWriteWaitsForTheReader(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	require.NoError(t, a.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	sent, buf := 0, random(t, 100_000)
	for {
		n, err := a.Write(buf)
		sent += n
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			break
		}
		require.Less(t, sent, 32<<20, "nothing holds the writer back")
	}
	// Reading makes room again, and nothing was lost.
	require.NoError(t, a.SetWriteDeadline(time.Time{}))
	go func() { a.Close() }()
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Len(t, got, sent)
}

func TestCutStreamIsAnErrorNotAnEnd(t *testing.T) {
	t.Parallel()
	accepted := make(chan *tunnel.Conn, 1)
	stream, cancel := dial(t, cutAfter(accepted))
	require.NoError(t, stream.Send(tunnel.Chunk{}))
	b := <-accepted
	cancel()
	_, err := b.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
	_, err = b.Write([]byte("x"))
	require.Error(t, err)
	<-b.Done()
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return b
}
