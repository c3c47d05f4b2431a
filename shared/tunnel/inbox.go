// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"net"
	"os"
	"sync"
	"time"
)

// inboxChunks is the number of received chunks that wait for Read: enough that
// the receiving goroutine and the reader need not take turns.
const inboxChunks = 4

// inbox holds what was received until it is read.
type inbox struct {
	mu       sync.Mutex
	cond     *sync.Cond
	queue    [][]byte
	end      error // why nothing more comes, told after the queue was read
	closed   bool
	deadline deadline
}

func newInbox() *inbox {
	b := &inbox{}
	b.cond = sync.NewCond(&b.mu)
	b.deadline.cond = b.cond
	return b
}

// push appends received data, waiting for room. After close it drops the data,
// so that the other end's remaining writes do not stop its Close from arriving.
func (b *inbox) push(data []byte) {
	if len(data) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) >= inboxChunks && !b.closed {
		b.cond.Wait()
	}
	if b.closed {
		return
	}
	b.queue = append(b.queue, data)
	b.cond.Broadcast()
}

// finish says that nothing more is received, and why. The first reason stays.
func (b *inbox) finish(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = err
		b.cond.Broadcast()
	}
}

func (b *inbox) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.closed:
			return 0, net.ErrClosed
		case b.deadline.expired:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(b.queue) > 0:
			return b.shift(p), nil
		case b.end != nil:
			return 0, b.end
		}
		b.cond.Wait()
	}
}

func (b *inbox) shift(p []byte) int {
	n := copy(p, b.queue[0])
	b.queue[0] = b.queue[0][n:]
	if len(b.queue[0]) == 0 {
		// Move rather than reslice: the array keeps its size and releases the
		// chunk.
		copy(b.queue, b.queue[1:])
		b.queue[len(b.queue)-1] = nil
		b.queue = b.queue[:len(b.queue)-1]
		b.cond.Broadcast()
	}
	return n
}

func (b *inbox) setDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.deadline.reset(t)
	return nil
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.queue = nil
	b.deadline.stop()
	b.cond.Broadcast()
}
