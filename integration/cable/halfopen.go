// SPDX-License-Identifier: MPL-2.0

package cable

import "net"

// Way is one of the two directions of a cable.
type Way int

// The ways of a cable: from who dialled it to the target, and back.
const (
	ToTarget Way = iota
	FromTarget
)

// line is one connection through the cable, guarded by the cable's lock.
type line struct {
	// lost are the ways that have lost something: nothing more arrives there.
	lost [2]bool
	// ended is how many of its two ends were closed.
	ended int
}

// Swallow loses what goes one way, the end of a connection included, and lets the other way
// through. A connection that has lost something never works again. Its receiver is left
// with a half-open connection and has to find that out by itself, also after Mend.
func (c *Cable) Swallow(way Way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swallows[way] = true
}

// HalfOpen counts the connections with one end closed and the other end not told.
func (c *Cable) HalfOpen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halfOpen
}

// pump carries one way of a line until the end that it reads from is closed.
func (c *Cable) pump(l *line, way Way, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	over := &carrier{cable: c, way: way, to: to}
	for {
		n, err := from.Read(buf)
		lost := c.passed(l, way)
		if n > 0 && !lost {
			// The news that the other end is closed goes the other way.
			if werr := over.write(buf[:n]); werr != nil && !c.loses(l, 1-way) {
				err = werr
			}
		}
		if err != nil {
			break
		}
	}
	over.close()
	c.drop(from)
	if !c.end(l, way) {
		_ = to.Close()
	}
}

// passed waits while the cable is frozen. It says whether what was read is lost.
func (c *Cable) passed(l *line, way Way) bool {
	c.mu.Lock()
	thaw := c.thaw
	c.mu.Unlock()
	<-thaw
	return c.loses(l, way)
}

// loses says whether what goes this way is lost.
func (c *Cable) loses(l *line, way Way) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.lost[way] = l.lost[way] || c.swallows[way]
	return l.lost[way]
}

// end counts an end that was closed. It says whether the other end must not be told.
func (c *Cable) end(l *line, way Way) (untold bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.ended++
	switch {
	case l.ended == 1 && l.lost[way]:
		c.halfOpen++
	case l.ended == 2 && l.lost[1-way]:
		c.halfOpen--
	}
	return l.lost[way]
}
