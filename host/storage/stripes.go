// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"hash/maphash"
	"slices"
)

const stripeCount = 16384

// stripes are locks of keys. Several keys share one, which costs a little
// waiting and saves a lock for each key. They are channels so that waiting ends
// with the context, and so that another goroutine may unlock.
type stripes struct {
	seed  maphash.Seed
	locks []chan struct{}
}

func newStripes() *stripes {
	s := &stripes{seed: maphash.MakeSeed(), locks: make([]chan struct{}, stripeCount)}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

// held are locks in ascending order.
type held []int

// lock locks the stripes of the keys, in order, so that two callers never wait
// for each other.
func (s *stripes) lock(ctx context.Context, keys ...string) (held, error) {
	h := make(held, len(keys))
	for i, k := range keys {
		h[i] = int(maphash.String(s.seed, k) % stripeCount)
	}
	if len(h) > 1 {
		slices.Sort(h)
		h = slices.Compact(h)
	}
	for i, n := range h {
		select {
		case s.locks[n] <- struct{}{}:
			continue
		default:
		}
		select {
		case s.locks[n] <- struct{}{}:
		case <-ctx.Done():
			s.unlock(h[:i])
			return nil, ctx.Err()
		}
	}
	return h, nil
}

func (s *stripes) unlock(h held) {
	for _, n := range h {
		<-s.locks[n]
	}
}
