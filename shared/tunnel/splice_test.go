// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// cutAfter accepts a connection and leaves it to the other end to cut it.
func cutAfter(accepted chan<- *tunnel.Conn) func(context.Context, tunnel.Stream) error {
	return func(_ context.Context, s tunnel.Stream) error {
		c := tunnel.NewConn(s, tunnel.Options{})
		accepted <- c
		<-c.Done()
		return nil
	}
}

// spliced makes a tunnel connection on one side and, through a splice, a TCP
// connection on the other: what the plugin and the peer cluster have.
func spliced(t testing.TB) (conn *tunnel.Conn, peer *net.TCPConn, ended <-chan error) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	far, err := net.Dial("tcp", lis.Addr().String())
	require.NoError(t, err)
	near, err := lis.Accept()
	require.NoError(t, err)

	result := make(chan error, 1)
	stream, cancel := dial(t, func(ctx context.Context, s tunnel.Stream) error {
		err := tunnel.Splice(ctx, s, near)
		result <- err
		return err
	})
	conn = tunnel.NewConn(stream, tunnel.Options{Abort: cancel})
	require.NoError(t, stream.Send(tunnel.Chunk{}))
	t.Cleanup(func() {
		far.Close()
		conn.Close()
		<-conn.Done()
	})
	return conn, far.(*net.TCPConn), result
}

func TestSpliceIsANetConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b, _ := spliced(t)
		return a, b, func() { a.Close(); b.Close(); <-a.Done() }, nil
	})
}

func TestSpliceHalfCloses(t *testing.T) {
	t.Parallel()
	type half interface {
		net.Conn
		CloseWrite() error
	}
	for name, swap := range map[string]bool{"tunnel first": false, "peer first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer, ended := spliced(t)
			var a, b half = conn, peer
			if swap {
				a, b = b, a
			}
			question, answer := random(t, 1<<20), random(t, 1<<20)
			go func() {
				_, _ = a.Write(question)
				_ = a.CloseWrite()
			}()
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.True(t, bytes.Equal(question, got))
			go func() {
				_, _ = b.Write(answer)
				_ = b.CloseWrite()
			}()
			got, err = io.ReadAll(a)
			require.NoError(t, err)
			require.True(t, bytes.Equal(answer, got))
			a.Close()
			require.NoError(t, <-ended)
		})
	}
}

func TestSpliceEndsWithEitherEnd(t *testing.T) {
	t.Parallel()
	t.Run("tunnel", func(t *testing.T) {
		t.Parallel()
		conn, peer, ended := spliced(t)
		require.NoError(t, conn.Close())
		require.NoError(t, <-ended)
		_, err := peer.Read(make([]byte, 1))
		require.Error(t, err)
	})
	t.Run("peer", func(t *testing.T) {
		t.Parallel()
		conn, peer, ended := spliced(t)
		require.NoError(t, peer.SetLinger(0)) // a reset, not an orderly end
		require.NoError(t, peer.Close())
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		t.Logf("the splice ended: %v", <-ended) // in order, or cut: the other end may go as soon as it has said Close
		conn.Close()
	})
}

func BenchmarkTunnel(b *testing.B) {
	conn, peer := pair(b)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{peer}, make([]byte, 32<<10))
	}()
	for b.Loop() {
		if _, err := conn.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close()
	<-read
}

// unwanted is a connection whose other end says that it does not want it.
type unwanted struct{ net.Conn }

func (unwanted) Read([]byte) (int, error) { return 0, errors.New("remote error") }
func (unwanted) Refused() string          { return "it was revoked" }

// The far end of the tunnel learns why a connection was refused, together with its end.
func TestSpliceTellsARefusal(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	stream, cancel := dial(t, func(ctx context.Context, s tunnel.Stream) error {
		return tunnel.Splice(ctx, s, unwanted{here})
	})
	conn := tunnel.NewConn(stream, tunnel.Options{Abort: cancel})
	defer func() { conn.Close(); <-conn.Done() }()
	require.Empty(t, conn.Refused())
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "it was revoked", conn.Refused())
}
