// SPDX-License-Identifier: MPL-2.0

package cable

import (
	"net"
	"sync"
)

// Mesh is a network between the members of a group, and from outside to each of them, with
// one cable for each direction between two. Any pair can be parted while all else goes on.
// So a member can be cut off from the others and not from its clients.
type Mesh struct {
	members []net.Listener
	// who returns the member that has dialled a connection, -1 for an outsider.
	who func(near, far *net.TCPAddr) int
	// aim returns the address of a member behind the mesh.
	aim func(member int) string
	// pairs are the cables, by the member that dials (outsiders last) and the one that it
	// dials.
	pairs [][]*Cable
	wg    sync.WaitGroup
}

// Weave opens a whole mesh. The functions are asked for each connection.
func Weave(members int, who func(near, far *net.TCPAddr) int, aim func(member int) string) (*Mesh, error) {
	m := &Mesh{who: who, aim: aim}
	for range members + 1 {
		row := make([]*Cable, members)
		for i := range row {
			row[i] = loose()
		}
		m.pairs = append(m.pairs, row)
	}
	for i := range members {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			m.Close()
			return nil, err
		}
		m.members = append(m.members, l)
		m.wg.Go(func() { m.accept(l, i) })
	}
	return m, nil
}

// loose is a cable that is given its connections.
func loose() *Cable {
	c := &Cable{thaw: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(c.thaw)
	return c
}

// Addr is where a member is reached.
func (m *Mesh) Addr(member int) string { return m.members[member].Addr().String() }

// Part lets nothing through between a member and the others of the group, either way,
// and tells nobody.
func (m *Mesh) Part(member int) {
	m.eachOf(member, (*Cable).Freeze)
}

// Mend lets everything through again, including what was sent meanwhile.
func (m *Mesh) Mend(member int) {
	m.eachOf(member, (*Cable).Mend)
}

func (m *Mesh) eachOf(member int, do func(*Cable)) {
	for other := range m.members {
		if other != member {
			do(m.pairs[member][other])
			do(m.pairs[other][member])
		}
	}
}

// Close removes the mesh and waits for the connections in it.
func (m *Mesh) Close() {
	for _, l := range m.members {
		_ = l.Close()
	}
	for _, row := range m.pairs {
		for _, c := range row {
			c.Cut()
			c.mu.Lock()
			c.melt()
			c.mu.Unlock()
		}
	}
	m.wg.Wait()
	for _, row := range m.pairs {
		for _, c := range row {
			c.wg.Wait()
		}
	}
}

func (m *Mesh) accept(l net.Listener, to int) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		m.wg.Go(func() {
			near, _ := conn.RemoteAddr().(*net.TCPAddr)
			far, _ := conn.LocalAddr().(*net.TCPAddr)
			from := m.who(near, far)
			if from < 0 {
				from = len(m.members)
			}
			c := m.pairs[from][to]
			c.Aim(m.aim(to))
			c.carry(conn)
		})
	}
}
