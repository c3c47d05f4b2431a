// SPDX-License-Identifier: MPL-2.0

package lock

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"
)

// keyLocks is how many locks all keys have together.
const keyLocks = 16384

// Keys are locks of keys. Several keys share one lock, which costs a little waiting and saves a lock for each key. The
// locks are channels, so that a wait ends with the context and another goroutine may unlock. Each is made at its first
// use.
type Keys struct {
	seed  maphash.Seed
	locks []atomic.Pointer[keyLock]
}

type keyLock chan struct{}

// NewKeys makes the locks of one storage.
func NewKeys() *Keys {
	return &Keys{seed: maphash.MakeSeed(), locks: make([]atomic.Pointer[keyLock], keyLocks)}
}

func (s *Keys) at(n int) keyLock {
	if l := s.locks[n].Load(); l != nil {
		return *l
	}
	l := make(keyLock, 1)
	s.locks[n].CompareAndSwap(nil, &l)
	return *s.locks[n].Load()
}

// Held are locks in ascending order.
type Held []int

// Lock takes the locks of the keys, in order, so that two callers never wait
// for each other.
func (s *Keys) Lock(ctx context.Context, keys ...string) (Held, error) {
	h := make(Held, len(keys))
	for i, k := range keys {
		h[i] = int(maphash.String(s.seed, k) % keyLocks)
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
			s.Unlock(h[:i])
			return nil, ctx.Err()
		}
	}
	return h, nil
}

// Unlock gives back what Lock has returned.
func (s *Keys) Unlock(h Held) {
	for _, n := range h {
		<-s.at(n)
	}
}
