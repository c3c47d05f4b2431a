// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"container/heap"
	"context"
	"errors"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// progress is how far a mode is applied, Observer.Applied included, and who waits for
// more. Its zero value knows nothing yet.
type progress struct {
	mu    sync.Mutex
	known bool
	// ended counts the times at which what is known became worth nothing.
	ended    uint64
	at       replication.Position
	copying  bool
	copyFrom replication.Position
	// stored is the cursor that the storage has and the core not yet, nil for none.
	stored  *journal.Cursor
	waiting waiters
}

var errNoSecondary = replication.Errorf(replication.Unavailable,
	"this node is no longer the active node of a secondary, so it cannot be said when the change arrives here: read it again in a moment")

// errLate ends a wait that may take long: the core cannot take up what is stored. Who
// waits may hold what the core waits for.
var errLate = replication.Errorf(replication.Unavailable,
	"the change has arrived on this secondary, and its core could not take it up yet: read it again in a moment")

// WaitApplied waits until this secondary has applied a position of its primary and
// Observer.Applied has returned for it. It waits for a copy that is under way: the
// caller's context bounds that. The error is PositionLost for a position of another
// epoch, and Unavailable when the role or the duty of this node ends, or when the core
// fails to take up what is stored.
func (d *debt) WaitApplied(ctx context.Context, at replication.Position) error {
	if at.Epoch.IsZero() {
		return replication.Errorf(replication.InvalidInput, "a position without an epoch cannot be waited for")
	}
	p := &d.progress
	w, err := p.wait(at)
	if w == nil && err == nil {
		return nil
	}
	if errors.Is(err, errUnknownProgress) {
		if err := d.loadProgress(ctx); err != nil {
			return err
		}
		if w, err = p.wait(at); errors.Is(err, errUnknownProgress) {
			err = errNoSecondary // it has ended meanwhile
		}
	}
	if w == nil || err != nil {
		return err
	}
	if d.Owed() > 0 {
		p.endStored(errLate)
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		p.forget(w)
		return replication.Errorf(replication.Unavailable, "the change at %s has not arrived on this secondary in time: %w", at, ctx.Err())
	}
}

// loadProgress reads it from storage. It takes no turn, because the caller may hold what an
// apply waits for. An apply owes its keys before it writes them, so what is read here and not
// taken up yet is known to be owed.
func (d *debt) loadProgress(ctx context.Context) error {
	p := &d.progress
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	c, err := d.readCursor(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known || p.ended != ended {
		return nil
	}
	if d.keys.None() {
		p.set(c)
		return nil
	}
	// How far the core is nobody knows: not as far as this.
	p.set(&journal.Cursor{Position: replication.Position{Epoch: c.Position.Epoch}, Copying: c.Copying, CopyFrom: c.CopyFrom})
	p.stored = c
	return nil
}

// EndWaits ends all waiting, because the node's duty or the role of the cluster ends.
func (d *debt) EndWaits() { d.progress.end(errNoSecondary) }

// Copying says whether a copy is under way, as far as it is known.
func (d *debt) Copying() bool { return d.progress.isCopying() }

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

// reached says that the storage has a cursor.
func (p *progress) reached(c *journal.Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stored := *c // the caller goes on with his
	p.stored = &stored
}

// unsay takes back that the core has what the storage has at a cursor: something that
// belongs at or below it is about to be written.
func (p *progress) unsay(c *journal.Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		stored := *c
		p.stored, p.at = &stored, replication.Position{Epoch: c.Position.Epoch}
	}
}

// taken says that the core has taken up all that the storage has.
func (p *progress) taken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stored != nil {
		p.set(p.stored)
		p.stored = nil
	}
}

// set takes over how far a cursor is and wakes those who have waited for it. The
// caller holds mu.
func (p *progress) set(c *journal.Cursor) {
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

// endStored ends the waits for what the storage has and the core not.
func (p *progress) endStored(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.stored
	if c == nil || c.Copying {
		return
	}
	kept := p.waiting[:0]
	for _, w := range p.waiting {
		if w.at.Epoch == c.Position.Epoch && w.at.Sequence <= c.Position.Sequence {
			w.end(err)
		} else {
			kept = append(kept, w)
		}
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
	for i, w := range kept {
		w.index = i
	}
	heap.Init(&p.waiting)
}

// end ends all waits; what is known is read anew when it is asked for next.
func (p *progress) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		w.end(err)
	}
	p.known, p.stored, p.waiting = false, nil, nil
	p.ended++
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
func (d *debt) Waiting() int {
	p := &d.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// Applied is how far a secondary is, Observer.Applied included: what WaitApplied does not
// wait for. Zero while that is not known.
func (d *debt) Applied(ctx context.Context) replication.Position {
	p := &d.progress
	p.mu.Lock()
	known, at := p.known, p.at
	p.mu.Unlock()
	if known {
		return at
	}
	if err := d.loadProgress(ctx); err != nil {
		return replication.Position{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}
