// SPDX-License-Identifier: MPL-2.0

package link

import "context"

// Gate lets one caller in at a time. Unlike a mutex it can be held while the host writes,
// which may take long: a caller that waits for it can give up.
type Gate chan struct{}

// NewGate makes a gate that nobody is in.
func NewGate() Gate { return make(Gate, 1) }

// Enter waits until nobody else is in, or until the context ends. It enters an empty gate even if the context has
// ended.
func (g Gate) Enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave lets the next one in.
func (g Gate) Leave() { <-g }
