// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// askingMax is how many questions of all secondaries are answered at a time.
const askingMax = 4

// asking lets the questions of one slot be answered one after the other, and few of all
// slots together: each has its question and its answer in memory.
type asking struct {
	all lock.Turns

	mu    sync.Mutex
	slots map[walk.Reader]*slotTurn
}

type slotTurn struct {
	lock.Turns
	users int
}

func newAsking() *asking {
	return &asking{all: make(lock.Turns, askingMax), slots: map[walk.Reader]*slotTurn{}}
}

// take waits for the turn of a question as long as its caller does; done ends it.
func (a *asking) take(ctx context.Context, who walk.Reader) (done func(), err error) {
	a.mu.Lock()
	s := a.slots[who]
	if s == nil {
		s = &slotTurn{Turns: make(lock.Turns, 1)}
		a.slots[who] = s
	}
	s.users++
	a.mu.Unlock()
	leave := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(a.slots, who)
		}
	}
	own, err := s.Turns.Take(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	all, err := a.all.Take(ctx)
	if err != nil {
		own()
		leave()
		return nil, err
	}
	return func() { all(); own(); leave() }, nil
}
