// SPDX-License-Identifier: MPL-2.0

package link

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forwards bounds the forwarded requests of one secondary that are under way. Both ends
// count. The secondary must never fill the connection, because its heartbeats use it too.
// The primary need not believe the secondary.
type Forwards struct {
	most         int64
	calls, bytes *semaphore.Weighted
	waiting      atomic.Int64
}

// NewForwards admits as many requests as a primary with these capabilities takes.
func NewForwards(capabilities []string) *Forwards {
	most := int64(olderForwardsMax)
	if slices.Contains(capabilities, ManyForwards) {
		most = ForwardsMax
	}
	return &Forwards{most: most, calls: semaphore.NewWeighted(most), bytes: semaphore.NewWeighted(ForwardBytesMax)}
}

// Enter admits a request, or is Unavailable when too many are under way. Leave is
// called once.
func (f *Forwards) Enter(payload int) (leave func(), err error) {
	if err := checkForward(payload); err != nil {
		return nil, err
	}
	if !f.calls.TryAcquire(1) {
		return nil, f.refusal("try again shortly")
	}
	if !f.bytes.TryAcquire(int64(payload)) {
		f.calls.Release(1)
		return nil, f.refusal("try again shortly")
	}
	return f.leave(payload), nil
}

// Wait admits a request in its turn. It is Unavailable when the turn does not come within ForwardWait, or when
// ForwardsWaiting requests wait already, and Unreachable when the context ends before. Nothing was sent then. Leave is
// called once.
func (f *Forwards) Wait(ctx context.Context, payload int) (leave func(), err error) {
	if err := checkForward(payload); err != nil {
		return nil, err
	}
	if f.waiting.Add(1) > ForwardsWaiting {
		f.waiting.Add(-1)
		return nil, f.refusal(fmt.Sprintf("%d more wait, try again shortly", ForwardsWaiting))
	}
	defer f.waiting.Add(-1)
	turn, cancel := context.WithTimeout(ctx, ForwardWait)
	defer cancel()
	if err = f.calls.Acquire(turn, 1); err == nil {
		if err = f.bytes.Acquire(turn, int64(payload)); err == nil {
			return f.leave(payload), nil
		}
		f.calls.Release(1)
	}
	if ctx.Err() != nil {
		return nil, unreached(ctx)
	}
	return nil, f.refusal("the turn of this one has not come in time, try again shortly")
}

func (f *Forwards) leave(payload int) func() {
	return func() {
		f.bytes.Release(int64(payload))
		f.calls.Release(1)
	}
}

func (f *Forwards) refusal(why string) error {
	return replication.Errorf(replication.Unavailable, "%d forwarded requests, or %d bytes of them, are under way, as "+
		"many as a secondary may have: %s", f.most, ForwardBytesMax, why)
}

func checkForward(payload int) error {
	if payload > replication.PayloadMax {
		return replication.Errorf(replication.InvalidInput, "the request to forward has %d bytes, %d are allowed", payload,
			replication.PayloadMax)
	}
	return nil
}
