// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// askingMax is how many questions are answered at a time, for all secondaries together.
const askingMax = 4

// asking allows one question of a slot at a time, and few of all slots together, because each keeps its question and
// its answer in memory.
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

// take waits for the turn of a question, until its caller leaves. done ends the turn.
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
