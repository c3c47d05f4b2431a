// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// outbox holds what was written until it is sent. Writes copy: the caller may
// reuse its bytes when Write returns, and a Write whose deadline passes must
// return while the stream is still waiting to send. Once it is closed, a Close
// follows what is pending.
type outbox struct {
	writing sync.Mutex // one Write at a time, so that they are not interleaved

	box
	pending  []byte
	spare    []byte // the other buffer while it is not being sent
	finished bool   // half-closed: a Fin follows what is pending
	finSent  bool
	broken   error // nothing can be sent any more; told to Write
	answer   bool  // broken by the other end's Close, which wants one in return
}

func newOutbox() *outbox {
	b := &outbox{}
	b.cond.L = &b.mu
	return b
}

func (b *outbox) write(p []byte) (n int, err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if err := b.refused(); err != nil {
			return n, err
		}
		if room := ChunkSize - len(b.pending); room > 0 && n < len(p) {
			take := min(room, len(p)-n)
			b.pending = append(b.pending, p[n:n+take]...)
			n += take
			b.cond.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		b.cond.Wait()
	}
}

func (b *outbox) refused() error {
	switch {
	case b.closed:
		return net.ErrClosed
	case b.broken != nil:
		return b.broken
	case b.finished:
		return syscall.EPIPE
	case b.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// take waits for something to send. The data is valid until the next take. Send says
// whether to send the chunk. More is false when nothing follows.
func (b *outbox) take(sent []byte) (c Chunk, send, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sent != nil {
		b.spare = sent[:0]
	}
	for {
		switch {
		case b.broken != nil:
			return Chunk{Signal: Close}, b.answer, false
		case len(b.pending) > 0:
			c.Data = b.pending
			b.pending, b.spare = b.spare, nil
			b.cond.Broadcast()
			return c, true, true
		case b.closed:
			return Chunk{Signal: Close}, true, false
		case b.finished && !b.finSent:
			b.finSent = true
			return Chunk{Signal: Fin}, true, true
		}
		b.cond.Wait()
	}
}

func (b *outbox) finish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.finished = true
	b.cond.Broadcast()
	return nil
}

// fail says that the other end takes nothing more. Answer asks for a Close.
func (b *outbox) fail(err error, answer bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken, b.answer = err, answer
		b.cond.Broadcast()
	}
}
