// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// socketBytes is how much one direction of a connection holds before its writer waits.
const socketBytes = 256 << 10

// lane is one direction of a connection: bytes in order, as TCP keeps them. What is on its
// way when the link is cut in this direction arrives after the cut.
type lane struct {
	link *link
	way  int

	mu      sync.Mutex
	queue   []chunk
	size    int
	last    time.Time // when the newest chunk arrives
	changed chan struct{}
	deaf    bool // nobody reads any more: the reader's end answers with a reset
}

type chunk struct {
	at   time.Time
	data []byte
	end  error // io.EOF, or that of a reset
}

func newLane(l *link, way int) *lane { return &lane{link: l, way: way, changed: make(chan struct{})} }

// wake needs mu.
func (l *lane) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lane) nudge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// put needs mu.
func (l *lane) put(data []byte, end error) {
	at := time.Now().Add(l.link.latency(l.way))
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	l.queue = append(l.queue, chunk{at, data, end})
	l.size += len(data)
	l.wake()
}

// conn is one end of a connection.
type conn struct {
	in, out *lane

	mu       sync.Mutex
	closed   chan struct{}
	isClosed bool
	deadline [2]time.Time // of reads, of writes
	moved    chan struct{}
}

const (
	reading = 0
	writing = 1
)

// newConns are the two ends of a connection over a link; way is the direction in
// which the first end writes.
func newConns(l *link, way int) (near, far *conn) {
	there, back := newLane(l, way), newLane(l, 1-way)
	near = &conn{in: back, out: there, closed: make(chan struct{}), moved: make(chan struct{})}
	far = &conn{in: there, out: back, closed: make(chan struct{}), moved: make(chan struct{})}
	return near, far
}

// wait waits until something has changed or the deadline has passed.
func (c *conn) wait(kind int, changed <-chan struct{}, due time.Time) error {
	c.mu.Lock()
	deadline, moved := c.deadline[kind], c.moved
	c.mu.Unlock()
	if !deadline.IsZero() {
		if !time.Now().Before(deadline) {
			return os.ErrDeadlineExceeded
		}
		if due.IsZero() || deadline.Before(due) {
			due = deadline
		}
	}
	var timeout <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-changed:
	case <-moved:
	case <-timeout:
	case <-c.closed:
	}
	return nil
}

func (c *conn) over() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.over() {
			return 0, net.ErrClosed
		}
		l := c.in
		l.mu.Lock()
		var due time.Time
		if len(l.queue) > 0 && (!l.link.isCut(l.way) || l.queue[0].at.IsZero()) {
			first := &l.queue[0]
			due = first.at
			if !time.Now().Before(due) {
				if first.end != nil {
					err := first.end
					l.mu.Unlock()
					return 0, err
				}
				n := copy(p, first.data)
				l.size -= n
				if first.data = first.data[n:]; len(first.data) == 0 {
					l.queue = l.queue[1:]
				}
				l.wake()
				l.mu.Unlock()
				return n, nil
			}
		}
		changed := l.changed
		l.mu.Unlock()
		if err := c.wait(reading, changed, due); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	for {
		if c.over() {
			return 0, net.ErrClosed
		}
		l := c.out
		l.mu.Lock()
		if l.deaf && !l.link.isCut(0) && !l.link.isCut(1) {
			l.mu.Unlock()
			// The answer to it ends the other direction as well, with what is in it.
			c.in.mu.Lock()
			c.in.queue = append(c.in.queue[:0], chunk{end: errReset})
			c.in.wake()
			c.in.mu.Unlock()
			return 0, errReset
		}
		if l.size < socketBytes {
			l.put(append([]byte(nil), p...), nil)
			l.mu.Unlock()
			return len(p), nil
		}
		changed := l.changed
		l.mu.Unlock()
		if err := c.wait(writing, changed, time.Time{}); err != nil {
			return 0, err
		}
	}
}

// Close implements net.Conn: the other end reads what is on its way and then the end.
func (c *conn) Close() error {
	if c.shut() {
		c.tell(io.EOF)
	}
	return nil
}

// vanish ends this end and tells the other one nothing, as a node does whose power
// has gone.
func (c *conn) vanish() { c.shut() }

func (c *conn) shut() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return false
	}
	c.isClosed = true
	close(c.closed)
	return true
}

// tell lets the other end know that this one is gone.
func (c *conn) tell(end error) {
	c.out.mu.Lock()
	c.out.put(nil, end)
	c.out.mu.Unlock()
	c.in.mu.Lock()
	c.in.deaf = true
	c.in.wake()
	c.in.mu.Unlock()
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return wireAddr{} }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return wireAddr{} }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.setDeadline(t, reading, writing)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.setDeadline(t, reading)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.setDeadline(t, writing)
	return nil
}

func (c *conn) setDeadline(t time.Time, kinds ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range kinds {
		c.deadline[k] = t
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

type wireAddr struct{}

func (wireAddr) Network() string { return "simulated" }
func (wireAddr) String() string  { return "simulated" }
