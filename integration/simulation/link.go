// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

var errReset = errors.New("connection reset by peer")

// The directions of a link.
const (
	toPrimary   = 0
	toSecondary = 1
)

// link is the network between the primary and one secondary.
type link struct {
	mu      sync.Mutex
	rng     *rand.Rand
	cut     [2]bool
	slow    [2]time.Duration
	changed chan struct{}
	conns   map[*conn]*conn // each end with its other one
}

func newLink(rng *rand.Rand) *link {
	return &link{rng: rng, changed: make(chan struct{}), conns: map[*conn]*conn{}}
}

func (l *link) latency(way int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 50*time.Microsecond + time.Duration(l.rng.Int64N(int64(time.Millisecond))) + l.slow[way]
}

func (l *link) isCut(way int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[way]
}

// set changes the state of the link and lets those who wait look again.
func (l *link) set(change func()) {
	l.mu.Lock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
	ends := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		ends = append(ends, c)
	}
	l.mu.Unlock()
	for _, c := range ends {
		c.in.nudge()
		c.out.nudge()
	}
}

// reset ends all connections; both ends are told.
func (l *link) reset() {
	l.mu.Lock()
	ends := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		ends = append(ends, c)
	}
	l.mu.Unlock()
	for _, c := range ends {
		c.tell(errReset)
	}
}

// connect makes a connection; way is the direction in which the caller writes. It
// needs both directions.
func (l *link) connect(ctx context.Context, way int) (near, far *conn, err error) {
	for {
		l.mu.Lock()
		open := !l.cut[0] && !l.cut[1]
		trip := 2 * (200*time.Microsecond + l.slow[0] + l.slow[1])
		changed := l.changed
		l.mu.Unlock()
		if open {
			t := time.NewTimer(trip)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return nil, nil, unanswered(ctx)
			}
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, unanswered(ctx)
		}
	}
	near, far = newConns(l, way)
	l.mu.Lock()
	l.conns[near], l.conns[far] = far, near
	l.mu.Unlock()
	return near, far, nil
}

func unanswered(ctx context.Context) error {
	return replication.Errorf(replication.Unreachable, "nothing answers: %w", ctx.Err())
}
