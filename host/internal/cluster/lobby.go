// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

// Bounds of the handshakes that are under way on the cluster port.
const (
	// LobbyMax is how many there are in all.
	LobbyMax = 512
	// LobbyPerAddress is how many there are from one address: an IPv4 address, or the
	// /64 of an IPv6 address, which is what one customer of a network has.
	LobbyPerAddress = 64
)

// lobby holds the connections whose handshake is under way. When it is full, an older one
// gives way to a newer one. An honest client is through within a few round trips, so an
// attacker who fills the lobby keeps nobody out.
type lobby struct {
	max, perAddress int

	mu     sync.Mutex
	guests *list.List // of *guest, the oldest first
	byAddr map[netip.Prefix]int
}

// guest is a connection in the lobby.
type guest struct {
	conn  net.Conn
	addr  netip.Prefix
	place *list.Element
	// spoke says that the ClientHello was complete.
	spoke bool
}

func newLobby(most, perAddress int) *lobby {
	return &lobby{max: most, perAddress: perAddress, guests: list.New(), byAddr: map[netip.Prefix]int{}}
}

// enter lets a connection in, and closes another when there are too many.
func (l *lobby) enter(conn net.Conn) *guest {
	g := &guest{conn: conn, addr: addressOf(conn.RemoteAddr())}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[g.addr] >= l.perAddress {
		l.expelLocked(func(other *guest) bool { return other.addr == g.addr })
	} else if l.guests.Len() >= l.max {
		crowd := l.crowdLocked()
		l.expelLocked(func(other *guest) bool { return other.addr == crowd })
	}
	g.place = l.guests.PushBack(g)
	l.byAddr[g.addr]++
	return g
}

// heard says that the ClientHello of a guest is complete.
func (l *lobby) heard(g *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.spoke = true
}

// leave takes a guest out. It is called once for each, expelled or not.
func (l *lobby) leave(g *guest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(g)
}

func (l *lobby) removeLocked(g *guest) {
	if g.place == nil {
		return
	}
	l.guests.Remove(g.place)
	g.place = nil
	if l.byAddr[g.addr]--; l.byAddr[g.addr] == 0 {
		delete(l.byAddr, g.addr)
	}
}

// expelLocked closes the oldest silent guest among some, or the oldest one if all have
// spoken.
func (l *lobby) expelLocked(of func(*guest) bool) {
	var victim *guest
	for e := l.guests.Front(); e != nil; e = e.Next() {
		g := e.Value.(*guest)
		if !of(g) {
			continue
		}
		if victim == nil || !g.spoke {
			victim = g
		}
		if !g.spoke {
			break
		}
	}
	if victim != nil {
		l.removeLocked(victim)
		_ = victim.conn.Close()
	}
}

// crowdLocked is the address with the most guests.
func (l *lobby) crowdLocked() netip.Prefix {
	var crowd netip.Prefix
	most := 0
	for addr, n := range l.byAddr {
		if n > most {
			crowd, most = addr, n
		}
	}
	return crowd
}

// addressOf returns the prefix that guests are counted by.
func addressOf(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap(), 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.WithZone("").Prefix(bits)
	return p
}
