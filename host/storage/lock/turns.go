// SPDX-License-Identifier: MPL-2.0

package lock

import "context"

// Turns let as many at a time as they have room do what takes as long as the storage does.
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
