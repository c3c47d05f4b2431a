// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"
)

const stripeCount = 16384

// stripes are locks of keys. Several keys share one, which costs a little
// waiting and saves a lock for each key. They are channels so that waiting ends
// with the context, and so that another goroutine may unlock. Each is made when it is
// first used.
type stripes struct {
	seed  maphash.Seed
	locks []atomic.Pointer[stripe]
}

type stripe chan struct{}

func newStripes() *stripes {
	return &stripes{seed: maphash.MakeSeed(), locks: make([]atomic.Pointer[stripe], stripeCount)}
}

func (s *stripes) at(n int) stripe {
	if l := s.locks[n].Load(); l != nil {
		return *l
	}
	l := make(stripe, 1)
	s.locks[n].CompareAndSwap(nil, &l)
	return *s.locks[n].Load()
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
		lock := s.at(n)
		select {
		case lock <- struct{}{}:
			continue
		default:
		}
		select {
		case lock <- struct{}{}:
		case <-ctx.Done():
			s.unlock(h[:i])
			return nil, ctx.Err()
		}
	}
	return h, nil
}

func (s *stripes) unlock(h held) {
	for _, n := range h {
		<-s.at(n)
	}
}
