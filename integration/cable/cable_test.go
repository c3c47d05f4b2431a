// SPDX-License-Identifier: MPL-2.0

package cable_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
)

// echo answers what it is sent.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, c *cable.Cable) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func answers(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte("x"))
	require.NoError(t, err)
	answer := make([]byte, 1)
	_, err = io.ReadFull(conn, answer)
	require.NoError(t, err)
}

func TestCutEndsConnectionsAndFreezeDoesNot(t *testing.T) {
	t.Parallel()
	c, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(c.Close)
	c.Aim(echo(t))
	old := dial(t, c)
	answers(t, old)

	c.Freeze()
	young := dial(t, c)
	for _, conn := range []net.Conn{old, young} {
		_, err := conn.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, err = conn.Read(make([]byte, 1))
		require.True(t, errors.Is(err, os.ErrDeadlineExceeded), "%v", err)
		require.NoError(t, conn.SetReadDeadline(time.Time{}))
	}
	c.Mend()
	for _, conn := range []net.Conn{old, young} {
		_, err := io.ReadFull(conn, make([]byte, 1))
		require.NoError(t, err, "what was sent has arrived")
		answers(t, conn)
	}

	c.Cut()
	_, err = old.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = dial(t, c).Read(make([]byte, 1))
	require.Error(t, err)
	c.Mend()
	answers(t, dial(t, c))
}

// What is lost one way leaves a connection that does not work again; its receiver is not
// told that the other end is closed, and nobody minds the next connections.
func TestSwallowLeavesHalfOpenConnections(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]cable.Way{"to the target": cable.ToTarget, "from the target": cable.FromTarget} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := cable.Lay("")
			require.NoError(t, err)
			t.Cleanup(c.Close)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = l.Close() })
			c.Aim(l.Addr().String())
			ends := [2]net.Conn{cable.ToTarget: dial(t, c)}
			ends[cable.FromTarget], err = l.Accept()
			require.NoError(t, err)
			t.Cleanup(func() { _ = ends[cable.FromTarget].Close() })
			sender, receiver := ends[way], ends[1-way]
			pass := func(from, to net.Conn) {
				_, err := from.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(to, make([]byte, 1))
				require.NoError(t, err)
			}
			silent := func() {
				require.NoError(t, receiver.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
				_, err := receiver.Read(make([]byte, 1))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			pass(sender, receiver)

			c.Swallow(way)
			pass(receiver, sender)
			_, err = sender.Write([]byte("x"))
			require.NoError(t, err)
			silent()
			require.Zero(t, c.HalfOpen())
			c.Mend()
			_, err = sender.Write([]byte("x"))
			require.NoError(t, err)
			silent()
			require.NoError(t, sender.Close())
			require.Eventually(t, func() bool { return c.HalfOpen() == 1 }, time.Minute, time.Millisecond)
			// It is not told by what it sends either.
			for range 3 {
				_, err = receiver.Write([]byte("x"))
				require.NoError(t, err)
				silent()
			}
			c.Aim(echo(t))
			answers(t, dial(t, c))
			require.NoError(t, receiver.Close())
			require.Eventually(t, func() bool { return c.HalfOpen() == 0 }, time.Minute, time.Millisecond)
		})
	}
}
