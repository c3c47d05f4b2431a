// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"net"
	"sync"
	"time"
)

// box is common to both directions of a connection: a reader or writer waits for data or room, until the box is closed
// or a deadline passes.
type box struct {
	mu     sync.Mutex
	cond   sync.Cond // its lock is mu
	closed bool

	timer   *time.Timer
	set     uint64 // tells a timer that fires late that it was replaced
	expired bool   // the deadline has passed
}

func (b *box) setDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.stopTimer()
	b.expired = false
	if t.IsZero() {
		return nil
	}
	wait := time.Until(t)
	if wait <= 0 {
		b.expired = true
		b.cond.Broadcast()
		return nil
	}
	set := b.set
	b.timer = time.AfterFunc(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.set == set {
			b.expired = true
			b.cond.Broadcast()
		}
	})
	return nil
}

// stopTimer needs mu.
func (b *box) stopTimer() {
	b.set++
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

func (b *box) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.stopTimer()
	b.cond.Broadcast()
}
