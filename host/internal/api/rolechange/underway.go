// SPDX-License-Identifier: MPL-2.0

package rolechange

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// request is a request that was let in.
type request struct {
	ctx    context.Context
	cancel context.CancelFunc
	conn   *http.ResponseController // nil for one of another way
	stream bool
	// standby says that the node was not active when it was let in.
	standby bool
	// reading says that the request waits for its own body, outside of the core. Guarded by
	// Gate.mu.
	reading bool
	// late says that the body came too late: the request must not go on.
	late *atomic.Bool
}

func of(w http.ResponseWriter, r *http.Request, standby bool) request {
	return request{conn: http.NewResponseController(w), stream: isStream(r.URL.Path), standby: standby,
		late: new(atomic.Bool)}
}

// admit lets a request in, nil while a change is under way.
func (g *Gate) admit(ctx context.Context, q request) (*request, context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		return nil, nil
	}
	q.ctx, q.cancel = context.WithCancel(ctx)
	g.underway[&q] = struct{}{}
	return &q, q.ctx
}

// Enter lets in a request that came by another way than a listener. The caller calls leave
// when it has ended. OK is false during a change.
func (g *Gate) Enter(ctx context.Context) (entered context.Context, leave func(), ok bool) {
	q, entered := g.admit(ctx, request{})
	if q == nil {
		return nil, nil, false
	}
	return entered, func() { g.leave(q) }, true
}

func (g *Gate) leave(q *request) {
	q.cancel()
	g.mu.Lock()
	delete(g.underway, q)
	g.mu.Unlock()
	g.signal()
}

func (g *Gate) signal() {
	select {
	case g.idle <- struct{}{}:
	default:
	}
}

// Hold keeps requests out from now on. Call it before a client learns of the change: the
// client's next request is for the role after it. Empty returns when no request is left
// that can be waited for or ended. Open lets requests in when the node serves again. Only
// one change may be under way.
func (g *Gate) Hold() (empty, open func()) {
	g.node.Remember()
	closed := make(chan struct{})
	g.mu.Lock()
	former := g.closed
	g.closed = closed
	g.mu.Unlock()
	if former != nil {
		close(former) // who waits goes on waiting for this one
	}
	return g.empty, func() { go g.open(closed) }
}

// empty ends what is under way.
func (g *Gate) empty() {
	patience := time.After(g.limits.Patience)
	g.end(func(q *request) bool { return q.stream })
	cut := time.NewTimer(g.limits.CutStream)
	defer cut.Stop()
	streams := true
	for g.busy() {
		select {
		case <-g.idle:
		case <-cut.C:
			g.disconnect(func(q *request) bool { return !streams || q.stream })
			if !streams {
				// A request that ignores its context and its connection does not hold the
				// change up here. The core waits for it, as when it seals.
				g.wait(g.limits.Cut)
				return
			}
			streams = false
		case <-patience:
			g.end(func(q *request) bool { return !q.reading })
			streams = false
			cut.Reset(g.limits.Cut)
		}
	}
}

// wait gives requests a last moment.
func (g *Gate) wait(limit time.Duration) {
	last := time.After(limit)
	for g.busy() {
		select {
		case <-g.idle:
		case <-last:
			return
		}
	}
}

func (g *Gate) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for q := range g.underway {
		if q.stream || !q.reading {
			return true
		}
	}
	return false
}

// end ends contexts, disconnect connections.
func (g *Gate) end(which func(*request) bool) {
	g.each(which, func(q *request) { q.cancel() })
}

func (g *Gate) disconnect(which func(*request) bool) {
	past := time.Unix(1, 0)
	g.each(which, func(q *request) {
		if q.ctx.Err() != nil && q.conn != nil {
			_ = q.conn.SetReadDeadline(past)
			_ = q.conn.SetWriteDeadline(past)
		}
	})
}

func (g *Gate) each(which func(*request) bool, do func(*request)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for q := range g.underway {
		if which(q) {
			do(q)
		}
	}
}

// open lets requests in again once the node serves, or cannot.
func (g *Gate) open(closed chan struct{}) {
	last := time.After(g.limits.Lead)
	for !g.node.Active() && !g.node.PassesOn() {
		select {
		case <-time.After(poll):
			continue
		case <-closed:
			return // another change has begun
		case <-last:
		}
		break
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == closed {
		g.closed = nil
		close(closed)
	}
}

// body reads the body of a request. A change does not wait for a body that has not arrived.
// When it arrives during the change, the request waits for the end of the change.
type body struct {
	io.ReadCloser
	gate    *Gate
	request *request
}

func (b *body) Read(p []byte) (int, error) {
	b.gate.reading(b.request)
	n, err := b.ReadCloser.Read(p)
	if waited := b.gate.goOn(b.request); waited != nil {
		b.request.late.Store(true)
		clear(p[:n])
		return 0, waited
	}
	return n, err
}

func (g *Gate) reading(q *request) {
	g.mu.Lock()
	q.reading = true
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		g.signal()
	}
}

// goOn lets a request into the core again.
func (g *Gate) goOn(q *request) error {
	for {
		g.mu.Lock()
		if g.closed == nil || q.ctx.Err() != nil {
			q.reading = false
			g.mu.Unlock()
			return nil //nolint:nilerr // the change has ended or gone on: what stopped the request is no matter
		}
		g.mu.Unlock()
		if err := g.await(q.ctx, g.limits.Hold, false); err != nil {
			return err
		}
	}
}
