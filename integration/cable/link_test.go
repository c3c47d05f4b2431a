// SPDX-License-Identifier: MPL-2.0

package cable

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Everything arrives in order however the link changes meanwhile, and the end of the connection after it.
func TestALinkKeepsTheOrder(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	received := make(chan []byte, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		all, _ := io.ReadAll(conn)
		received <- all
	}()
	c, err := Lay(l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	conn, err := net.Dial("tcp", c.Addr())
	require.NoError(t, err)
	var sent []byte
	links := []Link{{}, {Delay: time.Millisecond}, {Delay: time.Millisecond, Loss: 0.01, BytesPerSecond: 50 << 20}, {}}
	for i, link := range links {
		c.Stretch(link)
		part := bytes.Repeat([]byte{byte('a' + i)}, 300_000)
		_, err := conn.Write(part)
		require.NoError(t, err)
		sent = append(sent, part...)
	}
	require.NoError(t, conn.Close())
	require.True(t, bytes.Equal(sent, <-received))
}

// What is sent after a way has become short does not pass what is still on its way.
func TestNothingIsOvertaken(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	c := &Cable{}
	k := &carrier{cable: c, to: near}
	c.Stretch(Link{Delay: 100 * time.Millisecond})
	require.NoError(t, k.write([]byte("first")))
	c.Stretch(Link{})
	go func() { _ = k.write([]byte(", then second")) }()
	got := make([]byte, len("first, then second"))
	_, err := io.ReadFull(far, got)
	require.NoError(t, err)
	require.Equal(t, "first, then second", string(got))
}

// What a link does to a parcel is computed, so it is not timed here.
func TestWhenAParcelArrives(t *testing.T) {
	t.Parallel()
	arrives := func(k *carrier, size int) time.Duration {
		before := time.Now()
		due, ok := k.departs(size)
		require.True(t, ok)
		return due.Sub(before)
	}
	k := &carrier{cable: &Cable{}}
	_, ok := k.departs(1)
	require.False(t, ok, "no link")

	k.cable.Stretch(Link{Delay: 100 * time.Second})
	require.InDelta(t, 100, arrives(k, 1<<20).Seconds(), 1)

	k.cable.Stretch(Link{BytesPerSecond: 1000})
	require.InDelta(t, 1000, arrives(k, 1_000_000).Seconds(), 1)
	other := &carrier{cable: k.cable}
	require.InDelta(t, 2000, arrives(other, 1_000_000).Seconds(), 1, "connections share the way")
	back := &carrier{cable: k.cable, way: FromTarget}
	require.InDelta(t, 1, arrives(back, 1000).Seconds(), 1, "the way back is another one")

	// 1448 bytes in a round trip of 200 s, times 1.22 over the root of 0.01: 88 bytes a second.
	lossy := &carrier{cable: &Cable{}}
	lossy.cable.Stretch(Link{Delay: 100 * time.Second, Loss: 0.01})
	require.InDelta(t, 88.3, Link{Delay: 100 * time.Second, Loss: 0.01}.mathis(), 0.1)
	require.InDelta(t, 100+10, arrives(lossy, 883).Seconds(), 1)
	require.InDelta(t, 100+10+1640+200, arrives(lossy, 100*segment).Seconds(), 2, "a segment was lost, a round trip later")
}
