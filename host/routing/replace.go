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
	// missed are the keys that have changed while another backend was made, which may
	// have read what they were before.
	replacing bool
	missed    []string
	next      logical.Backend
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
	t.next, t.replacing, t.missed = next, false, nil
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
	w.turn.mu.Lock()
	w.turn.replacing = true
	w.turn.mu.Unlock()
	made, err := with(w.Backend)
	if err != nil {
		w.turn.open(nil)
		return err
	}
	for {
		w.turn.mu.Lock()
		missed := w.turn.missed
		w.turn.missed = nil
		if len(missed) == 0 {
			w.turn.replacing = false
			w.turn.next = made // what changes from now on is told to that one
		}
		w.turn.mu.Unlock()
		if len(missed) == 0 {
			break
		}
		for _, key := range missed {
			made.InvalidateKey(ctx, key)
		}
	}
	w.turn.open(made)
	return nil
}

// InvalidateKey tells the backend that a key has changed. It does not wait for a turn:
// what it is called by may be what a request waits for.
func (w *Wrapper) InvalidateKey(ctx context.Context, key string) {
	w.turn.mu.Lock()
	next := w.turn.next
	if next == nil && w.turn.replacing {
		w.turn.missed = append(w.turn.missed, key)
	}
	w.turn.mu.Unlock()
	if next != nil {
		next.InvalidateKey(ctx, key)
		return
	}
	w.Backend.InvalidateKey(ctx, key)
}

// HandleExistenceCheck is asked before a write of a client.
func (w *Wrapper) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	next, err := w.turn.enter(ctx)
	switch {
	case err != nil:
		return false, false, err
	case next != nil:
		return next.HandleExistenceCheck(ctx, req)
	}
	defer w.turn.leave()
	return w.Backend.HandleExistenceCheck(ctx, req)
}
