// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// A look at the status reads storage past the cache and asks the plugin, and anybody may
// ask for it without a token.
//
// looksRestMax bounds the rest after a look: after one that hung, nobody waits long.
const looksRestMax = 50 * time.Millisecond

// looks answers all who ask for the status of a mode at one time with one look. There is
// one look at a time, and a rest after it that is as long: however many ask, looks take
// half of the time of one processor at most. An answer is never older than its question,
// so that who has changed something sees it.
type looks struct {
	// turn holds one value while a look is under way.
	turn chan struct{}
	// rested is when the next look may begin; it is of whoever has the turn.
	rested time.Time

	mu sync.Mutex
	// next is the look that has not begun; nil if nobody waits for one.
	next *look
}

type look struct {
	// ended is closed when there is an answer, or none because who looked gave up.
	ended  chan struct{}
	gaveUp bool
	status *endpoints.ModeStatus
	err    error
}

func newLooks() *looks { return &looks{turn: make(chan struct{}, 1)} }

// ask returns what a look found that began after ask was called. The caller looks himself,
// or shares the look of another caller who waits for his turn. do makes the look.
func (l *looks) ask(ctx context.Context, do func(context.Context) (*endpoints.ModeStatus, error)) (
	*endpoints.ModeStatus, error) {
	for {
		l.mu.Lock()
		k, first := l.next, l.next == nil
		if first {
			k = &look{ended: make(chan struct{}), gaveUp: true}
			l.next = k
		}
		l.mu.Unlock()
		if first {
			return l.lookFor(ctx, k, do)
		}
		select {
		case <-k.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !k.gaveUp {
			return k.status, k.err
		}
	}
}

// lookFor looks for all who wait for k. Who looks uses his own context: when it ends, one
// of the others looks.
func (l *looks) lookFor(ctx context.Context, k *look, do func(context.Context) (*endpoints.ModeStatus, error)) (
	*endpoints.ModeStatus, error) {
	defer close(k.ended)
	err := l.begin(ctx)
	l.mu.Lock()
	l.next = nil
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	defer func() {
		ended := time.Now()
		l.rested = ended.Add(min(ended.Sub(begun), looksRestMax))
		<-l.turn
	}()
	k.status, k.err = do(ctx)
	k.gaveUp = ctx.Err() != nil
	return k.status, k.err
}

func (l *looks) begin(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := pause.For(ctx, time.Until(l.rested))
	if err != nil {
		<-l.turn
	}
	return err
}
