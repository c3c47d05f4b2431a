// SPDX-License-Identifier: MPL-2.0

// Package progress knows how far a secondary has applied a mode, and which callers wait for more. It keeps two
// positions: that of the storage, and that up to which the core has taken everything up. Waits end with the second. It
// does no input or output, and nothing in it takes longer than a moment.
package progress

import (
	"container/heap"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Progress is how far a mode is applied, Observer.Applied included, and who waits for
// more. Its zero value knows nothing yet.
type Progress struct {
	mu    sync.Mutex
	known bool
	// ended counts how often the known progress became invalid.
	ended    uint64
	at       replication.Position
	copying  bool
	copyFrom replication.Position
	// stored is the cursor of the storage while the core has not taken everything up, nil for none.
	stored  *journal.Cursor
	waiting waiters
}

// ErrUnknown says that Load must be called first.
var ErrUnknown = replication.Errorf(replication.Internal, "the progress of this secondary was not read yet")

// Wait returns nothing when the position is reached, and otherwise a waiter.
func (p *Progress) Wait(at replication.Position) (*Waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known {
		return nil, ErrUnknown
	}
	reached, err := p.judge(at)
	if reached || err != nil {
		return nil, err
	}
	w := &Waiter{at: at, done: make(chan error, 1)}
	heap.Push(&p.waiting, w)
	return w, nil
}

// judge says whether a position is reached, or never will be. A copy within one epoch takes nothing back.
func (p *Progress) judge(at replication.Position) (reached bool, err error) {
	follows := p.at.Epoch
	if from, copying := p.copies(); copying {
		follows = from.Epoch // the copy ends at a position of that epoch
	}
	if at.Epoch != follows {
		return false, replication.Errorf(replication.PositionLost,
			"the change is at %s of the primary, this secondary follows the epoch %s: read it again in a moment", at, follows)
	}
	return at.Epoch == p.at.Epoch && at.Sequence <= p.at.Sequence, nil
}

// copies says whether a copy is under way, and from where. It counts as under way until the core has taken up its end.
func (p *Progress) copies() (from replication.Position, copying bool) {
	if p.stored != nil && p.stored.Copying {
		return p.stored.CopyFrom, true
	}
	return p.copyFrom, p.copying
}

// Reached says that the storage has a cursor.
func (p *Progress) Reached(c *journal.Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stored := *c // the caller changes its own
	p.stored = &stored
}

// Unsay takes back that the core is at a cursor: rows at or below it are about to be written.
func (p *Progress) Unsay(c *journal.Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		stored := *c
		p.stored, p.at = &stored, replication.Position{Epoch: c.Position.Epoch}
	}
}

// Taken says that the core has taken up all that the storage has.
func (p *Progress) Taken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stored != nil {
		p.set(p.stored)
		p.stored = nil
	}
}

// set takes over the position of a cursor and ends the waits that it satisfies. The caller holds mu.
func (p *Progress) set(c *journal.Cursor) {
	turn := !p.known || p.copying || c.Copying || p.at.Epoch != c.Position.Epoch
	p.known, p.at, p.copying, p.copyFrom = true, c.Position, c.Copying, c.CopyFrom
	if turn {
		// This is rare, and may end waits that are not next in order.
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
		heap.Pop(&p.waiting).(*Waiter).end(nil)
	}
}

// Copying says whether a copy is under way, as far as it is known.
func (p *Progress) Copying() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, copying := p.copies()
	return p.known && copying
}

// EndStored ends the waits for positions that the storage has reached and the core has not.
func (p *Progress) EndStored(err error) {
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

// End ends all waits. The progress is read anew when it is next needed.
func (p *Progress) End(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		w.end(err)
	}
	p.known, p.stored, p.waiting = false, nil, nil
	p.ended++
}

// Forget removes a wait whose caller has left.
func (p *Progress) Forget(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.index >= 0 && w.index < len(p.waiting) && p.waiting[w.index] == w {
		heap.Remove(&p.waiting, w.index)
	}
}

// Waiter waits for one position.
type Waiter struct {
	at    replication.Position
	done  chan error
	index int
}

func (w *Waiter) end(err error) {
	w.index = -1
	w.done <- err
}

// waiters is a heap, the lowest sequence first.
type waiters []*Waiter

func (h waiters) Len() int           { return len(h) }
func (h waiters) Less(i, j int) bool { return h[i].at.Sequence < h[j].at.Sequence }
func (h waiters) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waiters) Push(x any) {
	w := x.(*Waiter)
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

// Done gets the result of the wait.
func (w *Waiter) Done() <-chan error { return w.done }

// At is how far the mode is, if that is known. It is zero while a copy is under way: then the storage has a mixture of
// two contents, perhaps of two histories.
func (p *Progress) At() (at replication.Position, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, copying := p.copies(); copying {
		return replication.Position{}, p.known
	}
	return p.at, p.known
}

// Waiting is how many wait.
func (p *Progress) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// Ended counts how often the known progress became invalid: see Load.
func (p *Progress) Ended() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Load takes over a cursor that was read from the storage, unless the progress is known already or End was called
// since. The function taken says whether the core has taken up everything. If not, nobody knows how far the core is,
// only that it is not as far as the cursor. taken is called under the lock, so that no call of Taken, which follows
// once the core has, can overtake this one.
func (p *Progress) Load(c *journal.Cursor, ended uint64, taken func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.known || p.ended != ended:
	case taken():
		p.set(c)
	default:
		p.set(&journal.Cursor{Position: replication.Position{Epoch: c.Position.Epoch}, Copying: c.Copying,
			CopyFrom: c.CopyFrom})
		p.stored = c
	}
}
