// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// gate lets requests of one alias through together while they want the same, and one after the other while they do not.
// What the first has made sure of must still hold a moment later, when the core compares. A request leaves when its
// context ends, and the core ends it after its answer.
type gate struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

// lane is one alias.
type lane struct {
	// want is what the requests inside want.
	want   string
	inside int
	// queue is served in order, so that nobody starves.
	queue []*waiting
}

type waiting struct {
	want string
	in   chan struct{}
}

// enter waits for its turn.
func (g *gate) enter(ctx context.Context, e Ensure) error {
	if ctx.Done() == nil {
		// Such a context never ends, so the request would never leave.
		return nil
	}
	key, want := e.Accessor+"\x00"+strings.ToLower(e.Name), string(encode(e))
	w := g.join(key, want)
	select {
	case <-w.in:
	case <-ctx.Done():
		g.giveUp(key, w)
		return fmt.Errorf("another login of the same alias with different metadata did not end in time: %w", ctx.Err())
	}
	context.AfterFunc(ctx, func() { g.leave(key) })
	return nil
}

func (g *gate) join(key, want string) *waiting {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lanes == nil {
		g.lanes = map[string]*lane{}
	}
	l := g.lanes[key]
	if l == nil {
		l = &lane{}
		g.lanes[key] = l
	}
	w := &waiting{want: want, in: make(chan struct{})}
	l.queue = append(l.queue, w)
	l.admit()
	return w
}

// admit lets in requests from the head of the queue while they want the same as those inside.
func (l *lane) admit() {
	for len(l.queue) > 0 && (l.inside == 0 || l.queue[0].want == l.want) {
		l.want = l.queue[0].want
		l.inside++
		close(l.queue[0].in)
		l.queue = l.queue[1:]
	}
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	l.inside--
	g.tidy(key, l)
}

// giveUp takes a request out of the queue, or out of the lane when its turn came
// at the same moment.
func (g *gate) giveUp(key string, w *waiting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	select {
	case <-w.in:
		l.inside--
	default:
		l.queue = slices.DeleteFunc(l.queue, func(q *waiting) bool { return q == w })
	}
	g.tidy(key, l)
}

func (g *gate) tidy(key string, l *lane) {
	l.admit()
	if l.inside == 0 && len(l.queue) == 0 {
		delete(g.lanes, key)
	}
}
