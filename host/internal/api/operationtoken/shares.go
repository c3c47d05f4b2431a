// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"crypto/subtle"
	"slices"
)

const (
	// sharesMax bounds the shares that an attempt keeps.
	sharesMax = 16
	// combinationsMax bounds the keys that one new share can cause to be tried.
	combinationsMax = 500
)

// shares are the key shares that an attempt has been given. Anyone can give
// shares, so some may be wrong, by mistake or on purpose. A wrong share must not
// spoil the right ones: every new share is tried with each combination of the
// others. The oldest share goes when there are too many to try.
type shares struct {
	required int
	kept     [][]byte
}

// has says whether a share has been given already.
func (s *shares) has(share []byte) bool {
	return slices.ContainsFunc(s.kept, func(k []byte) bool { return subtle.ConstantTimeCompare(k, share) == 1 })
}

// add takes possession of a share. It reports whether the oldest was dropped.
func (s *shares) add(share []byte) (dropped bool) {
	s.kept = append(s.kept, share)
	if len(s.kept) <= capacity(s.required) {
		return false
	}
	clear(s.kept[0])
	s.kept = s.kept[1:]
	return true
}

// progress is what a client sees: below the number that is required, since the
// attempt ends when that many fit together.
func (s *shares) progress() int { return min(len(s.kept), max(s.required-1, 0)) }

// find looks for shares, the newest among them, that make a key which verify
// accepts. The key is to be wiped. Nil without one.
func (s *shares) find(ctx context.Context, verify func(context.Context, []byte) error) []byte {
	if len(s.kept) < s.required {
		return nil
	}
	newest := s.kept[len(s.kept)-1]
	var found []byte
	eachCombination(s.kept[:len(s.kept)-1], s.required-1, func(others [][]byte) bool {
		key, err := combine(append(others, newest))
		if err == nil && verify(ctx, key) == nil {
			found = key
			return false
		}
		clear(key)
		return ctx.Err() == nil
	})
	return found
}

// wipe forgets all shares.
func (s *shares) wipe() {
	for _, k := range s.kept {
		clear(k)
	}
	s.kept = nil
}

// capacity is the number of shares to keep when so many are required.
func capacity(required int) int {
	n := max(required, 1)
	for n < max(sharesMax, required+1) && binomial(n, required-1) <= combinationsMax {
		n++
	}
	return n
}

// binomial is the number of ways to choose k of n, cut off above combinationsMax.
func binomial(n, k int) int {
	result := 1
	for i := 1; i <= min(k, n-k); i++ {
		result = result * (n - min(k, n-k) + i) / i
		if result > combinationsMax {
			return combinationsMax + 1
		}
	}
	return result
}

// eachCombination calls f with each choice of k of all, until f returns false.
// F may append to what it gets, and must not keep it.
func eachCombination(all [][]byte, k int, f func([][]byte) bool) bool {
	chosen := make([][]byte, 0, k+1)
	var choose func(from int) bool
	choose = func(from int) bool {
		if len(chosen) == k {
			return f(chosen)
		}
		for i := from; i <= len(all)-(k-len(chosen)); i++ {
			chosen = append(chosen, all[i])
			if !choose(i + 1) {
				return false
			}
			chosen = chosen[:len(chosen)-1]
		}
		return true
	}
	return choose(0)
}
