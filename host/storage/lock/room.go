// SPDX-License-Identifier: MPL-2.0

package lock

import (
	"context"
	"sync"
)

// Room lets in many callers at a time, or one caller alone. Nobody enters while somebody waits to be alone. Make it
// with NewRoom.
type Room struct {
	door Turns // Enter takes it for a moment, Alone until done

	mu     sync.Mutex // held for a moment
	inside int
	empty  chan struct{} // closed when nobody is inside any more, for Alone
}

// NewRoom makes a room with nobody inside.
func NewRoom() *Room { return &Room{door: make(Turns, 1)} }

// Enter waits until nobody is alone.
func (r *Room) Enter(ctx context.Context) (leave func(), err error) {
	done, err := r.door.Take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside++
	return r.leave, nil
}

func (r *Room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside--; r.inside == 0 && r.empty != nil {
		close(r.empty)
		r.empty = nil
	}
}

// Alone waits until nobody is inside, and lets nobody in until done is called.
func (r *Room) Alone(ctx context.Context) (done func(), err error) {
	if done, err = r.door.Take(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	var empty chan struct{}
	if r.inside > 0 {
		empty = make(chan struct{})
		r.empty = empty
	}
	r.mu.Unlock()
	if empty == nil {
		return done, nil
	}
	select {
	case <-empty:
		return done, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
