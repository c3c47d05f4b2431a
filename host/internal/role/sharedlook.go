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
// looksRestMax bounds the rest after a look, so that nobody waits long after a look that hung.
const looksRestMax = 50 * time.Millisecond

// looks answers all callers that ask for the status of a mode at the same time with one look. There is one look at a
// time, and after it a rest of the same length. So looks take at most half of one processor's time, however many
// callers ask. An answer is never older than its question, so a caller that has changed something sees the change.
type looks struct {
	// turn holds one value while a look is under way.
	turn chan struct{}
	// rested is when the next look may begin. The holder of the turn uses it.
	rested time.Time

	mu sync.Mutex
	// next is the look that has not begun; nil if nobody waits for one.
	next *look
}

type look struct {
	// ended is closed when there is an answer, or when the caller that looked gave up.
	ended  chan struct{}
	gaveUp bool
	status *endpoints.ModeStatus
	err    error
}

func newLooks() *looks { return &looks{turn: make(chan struct{}, 1)} }

// ask returns the result of a look that began after the call of ask. The caller looks itself, or shares the look of
// another caller that waits for its turn. do makes the look.
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

// lookFor looks for all callers that wait for k, in its own caller's context. If that ends, one of the others looks.
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
