// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// Replaceable is a backend that can be replaced while requests come. No request meets
// neither backend, or one that is half made.
type Replaceable interface {
	Wrapped
	// Replace waits until the requests in the backend have ended and holds later ones back. Then it calls with, which gets
	// the backend and may end it. The backend that with returns takes its place, and the requests that were held back run
	// there. If with fails, they run here.
	Replace(ctx context.Context, with func(old logical.Backend) (logical.Backend, error)) error
}

// turn decides who may use the backend: the requests, or the one that replaces it.
type turn struct {
	mu sync.Mutex
	// inside are the requests that run.
	inside int
	// closed is a channel while requests are held back, and nil otherwise. It is closed
	// when they may go on.
	closed chan struct{}
	// empty is closed when no request runs any more.
	empty chan struct{}
	next  logical.Backend
}

// enter waits until requests may run. It returns the backend that has taken the place. If
// none has it returns nil, and the caller must call leave.
func (t *turn) enter(ctx context.Context) (next logical.Backend, err error) {
	for {
		t.mu.Lock()
		if t.closed == nil {
			if t.next == nil {
				t.inside++
			}
			next = t.next
			t.mu.Unlock()
			return next, nil
		}
		wait := t.closed
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside--; t.inside == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// close holds requests back. It waits for another replacement that is under way.
func (t *turn) close(ctx context.Context) (next logical.Backend, err error) {
	if next, err = t.enter(ctx); next != nil || err != nil {
		return next, err
	}
	t.mu.Lock()
	if t.closed != nil {
		// Another replacement has come in between.
		t.mu.Unlock()
		t.leave()
		return t.close(ctx)
	}
	t.closed = make(chan struct{})
	var empty chan struct{}
	if t.inside--; t.inside > 0 {
		empty = make(chan struct{})
		t.empty = empty
	}
	t.mu.Unlock()
	if empty == nil {
		return nil, nil
	}
	select {
	case <-empty:
		return nil, nil
	case <-ctx.Done():
		t.mu.Lock()
		t.empty = nil
		t.mu.Unlock()
		t.open(nil)
		return nil, ctx.Err()
	}
}

// open lets requests run again.
func (t *turn) open(next logical.Backend) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = next
	close(t.closed)
	t.closed = nil
}

var errReplaced = errors.New("another backend has taken this one's place a moment ago: try again")

// Replace implements [Replaceable].
func (w *Wrapper) Replace(ctx context.Context, with func(old logical.Backend) (logical.Backend, error)) error {
	next, err := w.turn.close(ctx)
	if err != nil {
		return err
	}
	if next != nil {
		if r, ok := next.(Replaceable); ok {
			return r.Replace(ctx, with)
		}
		return errReplaced
	}
	// The new backend may read a key while only the old one is told of changes.
	making := w.readers.Begin()
	made, err := with(w.Backend)
	if err != nil {
		w.readers.End(making)
		w.turn.open(nil)
		return err
	}
	w.turn.mu.Lock()
	w.turn.next = made
	w.turn.mu.Unlock()
	for _, key := range w.readers.End(making) {
		made.InvalidateKey(ctx, key)
	}
	w.turn.open(made)
	return nil
}

// InvalidateKey tells the backend that a key has changed. It does not wait while requests
// are held back: a request may be waiting for its caller.
func (w *Wrapper) InvalidateKey(ctx context.Context, key string) {
	if w.readers.Changed(ctx, key) != nil {
		return // the caller then has the backend made anew
	}
	w.turn.mu.Lock()
	next := cmp.Or(w.turn.next, w.Backend)
	w.turn.mu.Unlock()
	next.InvalidateKey(ctx, key)
}

// enter begins a request. If no backend has taken this one's place, the caller calls end
// when the request has ended.
func (w *Wrapper) enter(ctx context.Context) (end func(), next logical.Backend, err error) {
	if next, err = w.turn.enter(ctx); next != nil || err != nil {
		return nil, next, err
	}
	reader := w.readers.Begin()
	return func() {
		for _, key := range w.readers.End(reader) {
			w.Backend.InvalidateKey(context.WithoutCancel(ctx), key)
		}
		w.turn.leave()
	}, nil, nil
}

// HandleExistenceCheck is asked before a write of a client.
func (w *Wrapper) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	end, next, err := w.enter(ctx)
	switch {
	case err != nil:
		return false, false, err
	case next != nil:
		return next.HandleExistenceCheck(ctx, req)
	}
	defer end()
	return w.Backend.HandleExistenceCheck(ctx, req)
}
