// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// desks bound the processor time of handshakes: the answer to a ClientHello costs a
// signature, and anybody can send one.
type desks chan struct{}

// newDesks takes half of the processors. The other half is for clients that are already in.
func newDesks() desks { return make(desks, max(1, runtime.GOMAXPROCS(0)/2)) }

// take waits for a desk. Leave may be called more than once.
func (d desks) take(ctx context.Context) (leave func(), err error) {
	select {
	case d <- struct{}{}:
		return sync.OnceFunc(func() { <-d }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// handshakeConn bounds what is read until the handshake is done, and says when the
// answer to the ClientHello leaves.
type handshakeConn struct {
	net.Conn
	left  atomic.Int64
	done  atomic.Bool
	leave func()
}

var errHandshakeBytes = errors.New("the client sends more than a handshake has")

func (c *handshakeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.done.Load() && c.left.Add(-int64(n)) < 0 {
		return 0, errHandshakeBytes
	}
	return n, err
}

// onAnswer and answered are called by the handshake alone, as is Write until it is
// done.
func (c *handshakeConn) onAnswer(leave func()) { c.leave = leave }

func (c *handshakeConn) answered() {
	if c.leave != nil {
		c.leave()
	}
}

func (c *handshakeConn) Write(p []byte) (int, error) {
	if !c.done.Load() {
		c.answered()
	}
	return c.Conn.Write(p)
}
