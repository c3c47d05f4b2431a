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
