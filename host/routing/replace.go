// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// Replaceable is a backend in whose place another one can be put without a request
// that meets neither, or one of them half made.
type Replaceable interface {
	Wrapped
	// Replace waits until the requests that are in the backend have ended, holds later
	// ones back, and gives with the backend behind, which it may end. What that returns
	// takes this one's place: requests that have come for this one run there. With an
	// error they run here.
	Replace(ctx context.Context, with func(old logical.Backend) (logical.Backend, error)) error
}

// turn says whose turn it is: the requests', or that of what replaces the backend.
type turn struct {
	mu sync.Mutex
	// inside are the requests that run.
	inside int
	// closed is there while requests are held back, and is closed at the end of that.
	closed chan struct{}
	// empty is closed when no request runs any more.
	empty chan struct{}
	next  logical.Backend
}

// enter waits for the requests' turn. It gives the backend that has taken the place,
// nil if none has; then leave must be called.
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

// close takes the turn from the requests. It waits for an earlier one that has it.
func (t *turn) close(ctx context.Context) (next logical.Backend, err error) {
	if next, err = t.enter(ctx); next != nil || err != nil {
		return next, err
	}
	t.mu.Lock()
	if t.closed != nil {
		// Another one has come in between.
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

// open gives it back.
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
	// The new backend may read what is changed before it is the one that is told.
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

// InvalidateKey tells the backend that a key has changed. It does not wait for a turn:
// what it is called by may be what a request waits for.
func (w *Wrapper) InvalidateKey(ctx context.Context, key string) {
	if w.readers.Changed(ctx, key) != nil {
		return // who gave ctx has the backend made anew
	}
	w.turn.mu.Lock()
	next := w.turn.next
	w.turn.mu.Unlock()
	if next == nil {
		next = w.Backend
	}
	next.InvalidateKey(ctx, key)
}

// enter begins a request. Without a backend that has taken this one's place, end is to
// be called when the request has ended.
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
