// SPDX-License-Identifier: MPL-2.0

package envelope

// windowSize is how many numbers below the highest a request may be late by. Many
// more than can be under way at a time.
const windowSize = 1 << 14

// window remembers the last numbers that were accepted. Its zero value has
// accepted none.
type window struct {
	highest uint64
	seen    [windowSize / 64]uint64
}

// accept says whether a number is new, and remembers it.
func (w *window) accept(n uint64) bool {
	if n == 0 {
		return false
	}
	if n > w.highest {
		if n-w.highest >= windowSize {
			clear(w.seen[:])
		} else {
			for i := w.highest + 1; i < n; i++ {
				w.seen[i%windowSize/64] &^= 1 << (i % 64)
			}
		}
		w.highest = n
	} else if w.highest-n >= windowSize || w.seen[n%windowSize/64]&(1<<(n%64)) != 0 {
		return false
	}
	w.seen[n%windowSize/64] |= 1 << (n % 64)
	return true
}
