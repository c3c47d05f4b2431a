// SPDX-License-Identifier: MPL-2.0

// Package pause waits for a while, or until nobody wants to wait any more.
package pause

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Growing are pauses that grow from a first one to a longest, for whoever never gives up.
func Growing(first, longest time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMaxInterval(longest),
		backoff.WithMaxElapsedTime(0))
}

// For waits. Its error is that of the context, if that ends first.
func For(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
