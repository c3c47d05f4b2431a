// SPDX-License-Identifier: MPL-2.0

package lock

import "context"

// Turns lets a bounded number of callers at a time do something that waits for the storage; the bound is its capacity.
type Turns chan struct{}

// Try takes a turn if one is free.
func (t Turns) Try() (done func(), ok bool) {
	select {
	case t <- struct{}{}:
		return t.end, true
	default:
		return nil, false
	}
}

func (t Turns) end() { <-t }

// Take waits for a turn; done ends it.
func (t Turns) Take(ctx context.Context) (done func(), err error) {
	if done, ok := t.Try(); ok {
		return done, nil
	}
	select {
	case t <- struct{}{}:
		return t.end, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
