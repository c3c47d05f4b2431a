// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"net"
	"os"
)

// inboxChunks is the number of received chunks that wait for Read: enough that
// the receiving goroutine and the reader need not take turns.
const inboxChunks = 4

// inbox holds what was received until it is read.
type inbox struct {
	box
	queue [][]byte
	end   error // why nothing more comes, told after the queue was read
}

func newInbox() *inbox {
	b := &inbox{}
	b.cond.L = &b.mu
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
		case b.expired:
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

func (b *inbox) close() {
	b.box.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = nil
}
