// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// mostGrowth is how far the wait between two attempts grows.
const mostGrowth = 64

// retry plans the next attempt of failed steps.
type retry struct {
	*backoff.ExponentialBackOff
	// timer is nil while no attempt is planned.
	timer *time.Timer
}

func newRetry(first time.Duration) retry {
	return retry{ExponentialBackOff: backoff.NewExponentialBackOff(backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(mostGrowth*first), backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0))}
}

func (r *retry) reset() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.Reset()
}

// done notes whether a step succeeded. If not, again repeats it later.
func (a *attempts) done(succeeded bool, about string, again func(context.Context)) {
	if succeeded {
		delete(a.again, about)
	} else {
		a.again[about] = again
	}
}

// plan plans the next attempt of failed steps.
func (a *attempts) plan() {
	switch {
	case len(a.again) == 0:
		a.retry.reset()
	case a.retry.timer == nil:
		a.retry.timer = time.AfterFunc(a.retry.NextBackOff(), a.tryAgain)
	}
}

// tryAgain runs when the timer fires.
func (a *attempts) tryAgain() {
	duty := a.onDuty()
	release, err := a.hold(duty)
	if err != nil {
		return // everything is taken up when this node becomes active
	}
	defer release()
	a.retry.timer = nil
	a.redo(duty)
}

func (a *attempts) onDuty() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.duty
}

// redo repeats failed steps.
func (a *attempts) redo(ctx context.Context) {
	for _, about := range slices.Sorted(maps.Keys(a.again)) {
		if ctx.Err() != nil {
			return
		}
		// An earlier one may have made it needless.
		if again := a.again[about]; again != nil {
			again(ctx)
		}
	}
}
