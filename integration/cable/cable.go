// SPDX-License-Identifier: MPL-2.0

// Package cable is a TCP connection between two clusters that a test can cut and
// mend. It stands where a load balancer in front of the cluster port would.
package cable

import (
	"io"
	"net"
	"sync"
)

// Cable forwards connections to one target while it is whole.
type Cable struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	cut    bool
	conns  map[net.Conn]bool
}

// Lay opens a whole cable to a target, host and port; it may be empty until Aim.
func Lay(target string) (*Cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cable{listener: l, target: target, conns: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	return c, nil
}

// Aim sets the target of new connections: a server that is to advertise the cable
// as its own address has to be started after it was laid.
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

// Mend lets new connections through.
func (c *Cable) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

// Close takes the cable away and waits for what ran in it.
func (c *Cable) Close() {
	_ = c.listener.Close()
	c.Cut()
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
	defer c.drop(near)
	if !c.hold(near) {
		return
	}
	c.mu.Lock()
	target := c.target
	c.mu.Unlock()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer c.drop(far)
	if !c.hold(far) {
		return
	}
	c.wg.Go(func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	})
	_, _ = io.Copy(near, far)
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
