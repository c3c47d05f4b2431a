// SPDX-License-Identifier: MPL-2.0

// Package cable is a TCP connection between two clusters that a test can cut and mend, and stretch
// to a way with delay, bandwidth and loss. It stands where a load balancer in front of the cluster
// port would stand.
package cable

import (
	"net"
	"sync"
	"time"
)

// Cable forwards connections to one target while it is whole.
type Cable struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	cut    bool
	thaw   chan struct{} // closed unless the cable is frozen
	conns  map[net.Conn]bool
	// swallows are the ways that lose everything.
	swallows [2]bool
	halfOpen int
	// link is what the way is like, and free when each way has room for the next bytes.
	link Link
	free [2]time.Time
}

// Lay opens a whole cable to a target, host and port; it may be empty until Aim.
func Lay(target string) (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cable{listener: l, target: target, thaw: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(c.thaw)
	c.wg.Go(c.accept)
	return c, nil
}

// Aim sets the target of new connections. A server that advertises the cable as its own
// address is started after the cable was laid.
func (c *Cable) Aim(target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
}

// Addr is where the near end listens.
func (c *Cable) Addr() string { return c.listener.Addr().String() }

// Cut ends every connection and refuses new ones.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// Freeze lets nothing through and closes nothing, like a network that drops packets.
// Connections stay open, new ones are accepted, and neither side is told.
func (c *Cable) Freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.thaw:
		c.thaw = make(chan struct{})
	default:
	}
}

// Mend lets everything through again, except for connections that have lost something.
func (c *Cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
	c.swallows = [2]bool{}
	c.melt()
}

func (c *Cable) melt() {
	select {
	case <-c.thaw:
	default:
		close(c.thaw)
	}
}

// Close removes the cable and waits for the connections in it.
func (c *Cable) Close() {
	_ = c.listener.Close()
	c.Cut()
	c.mu.Lock()
	c.melt()
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *Cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.carry(near) })
	}
}

func (c *Cable) carry(near net.Conn) {
	if !c.hold(near) {
		c.drop(near)
		return
	}
	c.mu.Lock()
	target, thaw := c.target, c.thaw
	c.mu.Unlock()
	<-thaw
	c.shake()
	far, err := net.Dial("tcp", target)
	if err != nil {
		c.drop(near)
		return
	}
	if !c.hold(far) {
		c.drop(near)
		c.drop(far)
		return
	}
	l := &line{}
	c.wg.Go(func() { c.pump(l, ToTarget, far, near) })
	c.pump(l, FromTarget, near, far)
}

// hold keeps a connection to be cut, unless the cable is cut already.
func (c *Cable) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *Cable) drop(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
}
