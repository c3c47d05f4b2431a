// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"container/heap"
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// progress is how far a mode is applied, OnApplied included, and who waits for
// more. Its zero value knows nothing yet.
type progress struct {
	mu       sync.Mutex
	known    bool
	at       replication.Position
	copying  bool
	copyFrom replication.Position
	waiting  waiters
}

var errNoSecondary = replication.Errorf(replication.Unavailable,
	"this node is no longer the active node of a secondary, so it cannot be said when the change arrives here: read it again in a moment")

// WaitApplied waits until this secondary has applied a position of its primary
// and OnApplied has returned for it. PositionLost for a position of another epoch
// than the one it follows, Unavailable when the role or the duty of this node
// ends. A copy that is under way is waited for: who cannot wait so long gives a
// context that ends.
func (t *Tap) WaitApplied(ctx context.Context, mode replication.Mode, at replication.Position) error {
	if err := checkMode(mode); err != nil {
		return err
	}
	if at.Epoch.IsZero() {
		return replication.Errorf(replication.InvalidInput, "a position without an epoch cannot be waited for")
	}
	p := t.progress[mode]
	w, err := p.wait(at)
	if w == nil && err == nil {
		return nil
	}
	if err == errUnknownProgress {
		if err := t.loadProgress(ctx, mode); err != nil {
			return err
		}
		if w, err = p.wait(at); err == errUnknownProgress {
			err = errNoSecondary // it has ended meanwhile
		}
	}
	if w == nil || err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		p.forget(w)
		return replication.Errorf(replication.Unavailable, "the change at %s has not arrived on this secondary in time: %w", at, ctx.Err())
	}
}

// loadProgress reads it from storage. No apply may be under way: its cursor may
// be durable and the host not told.
func (t *Tap) loadProgress(ctx context.Context, mode replication.Mode) error {
	unlock, err := t.lockApply(ctx, mode)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := t.readCursor(ctx, mode)
	if err != nil {
		return err
	}
	t.progress[mode].set(c)
	return nil
}

// endWaits ends all waiting because the node's duty ends.
func (t *Tap) endWaits() {
	for _, p := range t.progress {
		p.end(errNoSecondary)
	}
}

var errUnknownProgress = replication.Errorf(replication.Internal, "the progress of this secondary was not read yet")

// wait returns nothing when the position is reached, and otherwise a waiter.
func (p *progress) wait(at replication.Position) (*waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known {
		return nil, errUnknownProgress
	}
	reached, err := p.judge(at)
	if reached || err != nil {
		return nil, err
	}
	w := &waiter{at: at, done: make(chan error, 1)}
	heap.Push(&p.waiting, w)
	return w, nil
}

// judge says whether a position is reached, or never will be.
func (p *progress) judge(at replication.Position) (reached bool, err error) {
	switch {
	case at.Epoch == p.at.Epoch:
		return at.Sequence <= p.at.Sequence, nil
	case p.copying && at.Epoch == p.copyFrom.Epoch:
		return false, nil // the copy ends at a position of that epoch
	default:
		return false, replication.Errorf(replication.PositionLost,
			"the change is at %s of the primary, this secondary follows the epoch %s: read it again in a moment", at, p.at.Epoch)
	}
}

// set takes over how far a cursor is and wakes those who have waited for it.
func (p *progress) set(c *journal.Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := !p.known || p.copying || c.Copying || p.at.Epoch != c.Position.Epoch
	p.known, p.at, p.copying, p.copyFrom = true, c.Position, c.Copying, c.CopyFrom
	if turn {
		// Rare, and it may end waits that are not the next in order.
		all := p.waiting
		p.waiting = nil
		for _, w := range all {
			if reached, err := p.judge(w.at); reached || err != nil {
				w.end(err)
			} else {
				heap.Push(&p.waiting, w)
			}
		}
		return
	}
	for len(p.waiting) > 0 && p.waiting[0].at.Sequence <= p.at.Sequence {
		heap.Pop(&p.waiting).(*waiter).end(nil)
	}
}

// isCopying says whether a copy is under way, as far as it is known.
func (p *progress) isCopying() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known && p.copying
}

// end ends all waits; what is known is read anew when it is asked for next.
func (p *progress) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		w.end(err)
	}
	p.known, p.waiting = false, nil
}

func (p *progress) forget(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.index >= 0 && w.index < len(p.waiting) && p.waiting[w.index] == w {
		heap.Remove(&p.waiting, w.index)
	}
}

// waiter waits for one position.
type waiter struct {
	at    replication.Position
	done  chan error
	index int
}

func (w *waiter) end(err error) {
	w.index = -1
	w.done <- err
}

// waiters is a heap, the lowest sequence first.
type waiters []*waiter

func (h waiters) Len() int           { return len(h) }
func (h waiters) Less(i, j int) bool { return h[i].at.Sequence < h[j].at.Sequence }
func (h waiters) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waiters) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

func (h *waiters) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.index = -1
	return w
}

// Waiting is how many callers of WaitApplied wait.
func (t *Tap) Waiting(mode replication.Mode) int {
	p := t.progress[mode]
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}
