// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollInterval is how often a condition is looked at again.
const pollInterval = 20 * time.Millisecond

// Wait looks at a condition until it holds, the context ends, or the condition fails for
// good (see [Final]). The error names the condition and why it last did not hold. A look
// that the end of the context cut does not count.
func Wait(ctx context.Context, what string, condition func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if final, ok := err.(finalError); ok { //nolint:errorlint // final is what the condition itself says
			return fmt.Errorf("waiting until %s: %w", what, final.error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, last)
		case <-ticker.C:
		}
	}
}

// Eventually is [Wait] for tests: it fails the test after the limit.
func Eventually(t testing.TB, limit time.Duration, what string, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := Wait(ctx, what, condition); err != nil {
		t.Fatal(err)
	}
}

// Final marks an error of a condition that no waiting will mend.
func Final(err error) error { return finalError{err} }

type finalError struct{ error }
