// SPDX-License-Identifier: MPL-2.0

// Package owed keeps the keys that were applied to the storage of a secondary until
// its running core has taken them up.
//
// A key is owed before it is written. So whatever ends between the write and the taking up, the key is still owed. Only
// a successful taking up ends the debt.
package owed

import (
	"sync"
	"time"
)

// The wait before another attempt doubles from one to the other.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 30 * time.Second
	// lateAttempts is the number of failed attempts from which the debt is reported.
	lateAttempts = 3
)

// perKey is about what a kept key costs in memory beside its name.
const perKey = 64

// Keys are the keys that are owed. Its zero value is ready. Add, None, Late and Bytes
// may be called at any time, the others by one caller at a time.
type Keys struct {
	mu sync.Mutex
	// fresh were never tried. stayed were tried without success. doubted are of a failed write that may have landed or may
	// land later. So they are tried again and again until it is certain what the storage has.
	fresh, stayed, doubted []string
	certain                bool
	taking                 bool
	attempts               int
	due                    time.Time
}

// Add owes keys.
func (k *Keys) Add(keys ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fresh = append(k.fresh, keys...)
}

// Doubt says that the write of the added keys failed, and that nobody knows whether it landed. The keys stay owed until
// Certain.
func (k *Keys) Doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doubted, k.certain = unique(k.doubted, k.fresh), false
	k.fresh = nil
	k.putOff()
}

// Certain says that a later write has succeeded, so the write in doubt has landed by now or never will. Its keys are
// due once more.
func (k *Keys) Certain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.doubted) > 0 {
		k.certain, k.attempts, k.due = true, 0, time.Time{}
	}
}

// Retry makes all owed keys due at once: the obstacle may be gone.
func (k *Keys) Retry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempts, k.due = 0, time.Time{}
}

// TakeUp calls do with the keys that are due, older ones first. doubted are those among them whose write failed. do
// returns the keys that it could not take up; they are tried again later.
func (k *Keys) TakeUp(do func(keys, doubted []string) (left []string)) {
	a := k.begin()
	left := a.keys
	defer func() { k.end(a, left) }() // also if do panics
	if len(a.keys) > 0 {
		left = do(a.keys, a.doubted)
	}
}

// attempt is one taking up.
type attempt struct {
	keys, doubted []string
	again         bool // it has keys that were tried before
	last          bool // nothing is in doubt after it
}

func (k *Keys) begin() attempt {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := attempt{keys: k.fresh}
	if len(k.stayed)+len(k.doubted) > 0 && !time.Now().Before(k.due) {
		a = attempt{keys: unique(k.doubted, k.stayed, k.fresh), doubted: k.doubted, again: true, last: k.certain}
		k.stayed = nil
	}
	k.fresh, k.taking = nil, true
	return a
}

func (k *Keys) end(a attempt, left []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taking = false
	if a.last {
		k.doubted, k.certain = nil, false
	}
	if len(left) > 0 {
		k.stayed = unique(k.stayed, left)
	}
	switch {
	case len(k.stayed)+len(k.doubted) == 0:
		k.attempts, k.due = 0, time.Time{}
	case a.again || k.due.IsZero():
		k.putOff()
	}
}

// putOff counts an attempt.
func (k *Keys) putOff() {
	wait := min(firstWait<<min(k.attempts, 16), lastWait)
	k.attempts++
	k.due = time.Now().Add(wait)
}

// None says that nothing is owed, and nothing is being taken up.
func (k *Keys) None() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.taking && len(k.fresh)+len(k.stayed)+len(k.doubted) == 0
}

// Wait is how long until the next attempt; false if no key is owed.
func (k *Keys) Wait() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case len(k.fresh) > 0:
		return 0, true
	case len(k.stayed)+len(k.doubted) > 0:
		return max(0, time.Until(k.due)), true
	}
	return 0, false
}

// Late is how many keys, without those in doubt, could not be taken up in the attempts of about a second.
func (k *Keys) Late() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempts < lateAttempts {
		return 0
	}
	return len(k.stayed)
}

// Bytes is about the memory of the keys that wait for another attempt.
func (k *Keys) Bytes() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, list := range [][]string{k.stayed, k.doubted} {
		for _, key := range list {
			n += len(key) + perKey
		}
	}
	return n
}

// unique are the keys of lists, each where it comes first.
func unique(lists ...[]string) []string {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	out, seen := make([]string, 0, n), make(map[string]struct{}, n)
	for _, list := range lists {
		for _, key := range list {
			if _, has := seen[key]; !has {
				seen[key] = struct{}{}
				out = append(out, key)
			}
		}
	}
	return out
}
