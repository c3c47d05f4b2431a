// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// visitor is a connection from an address.
type visitor struct {
	net.Conn
	from   string
	closed bool
}

func (v *visitor) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", v.from)
	if err != nil {
		panic(err)
	}
	return a
}

func (v *visitor) Close() error {
	v.closed = true
	return nil
}

// enter lets visitors of one address in.
func enter(l *lobby, n int, from func(i int) string) (visitors []*visitor, guests []*guest) {
	for i := range n {
		v := &visitor{from: from(i)}
		visitors, guests = append(visitors, v), append(guests, l.enter(v))
	}
	return visitors, guests
}

func closed(visitors []*visitor) (n int) {
	for _, v := range visitors {
		if v.closed {
			n++
		}
	}
	return n
}

func TestLobby(t *testing.T) {
	t.Parallel()
	same := func(int) string { return "192.0.2.1:1000" }

	t.Run("the oldest of an address gives way", func(t *testing.T) {
		l := newLobby(100, 4)
		friend, _ := enter(l, 1, func(int) string { return "192.0.2.2:1" })
		crowd, guests := enter(l, 10, same)
		require.False(t, friend[0].closed)
		require.Equal(t, 6, closed(crowd[:6]))
		require.Zero(t, closed(crowd[6:]))
		require.Equal(t, 5, l.guests.Len())
		for _, g := range guests {
			l.leave(g)
		}
		require.Equal(t, 1, l.guests.Len())
		require.Len(t, l.byAddr, 1, "an address without guests is forgotten")
	})
	t.Run("who has spoken stays before who is silent", func(t *testing.T) {
		l := newLobby(100, 4)
		first, guests := enter(l, 1, same)
		l.heard(guests[0])
		enter(l, 50, same)
		require.False(t, first[0].closed)
	})
	t.Run("all have spoken", func(t *testing.T) {
		l := newLobby(100, 4)
		crowd, guests := enter(l, 4, same)
		for _, g := range guests {
			l.heard(g)
		}
		enter(l, 1, same)
		require.True(t, crowd[0].closed)
		require.Equal(t, 1, closed(crowd))
	})
	t.Run("many addresses", func(t *testing.T) {
		l := newLobby(10, 4)
		friend, _ := enter(l, 1, func(int) string { return "192.0.2.2:1" })
		enter(l, 4, same)
		enter(l, 8, func(i int) string { return fmt.Sprintf("198.51.100.%d:1", i) })
		require.False(t, friend[0].closed, "the address with the most gives way")
		require.Equal(t, 10, l.guests.Len())
	})
	t.Run("a network of IPv6 counts as one", func(t *testing.T) {
		l := newLobby(100, 4)
		enter(l, 10, func(i int) string { return fmt.Sprintf("[2001:db8::%d]:1", i+1) })
		require.Equal(t, 4, l.guests.Len())
		enter(l, 1, func(int) string { return "[2001:db8:0:1::1]:1" })
		require.Equal(t, 5, l.guests.Len())
	})
	t.Run("IPv4 in IPv6 counts as IPv4", func(t *testing.T) {
		require.Equal(t, addressOf(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4()}),
			addressOf(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To16()}))
	})
}
