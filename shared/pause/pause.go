// SPDX-License-Identifier: MPL-2.0

// Package pause waits for a while, or until nobody wants to wait any more.
package pause

import (
	"context"
	"time"
)

// For waits. Its error is that of the context, if that ends first.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
