// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"maps"
	"slices"
	"time"
)

// mostDoublings is how often the wait between two attempts grows, to about sixty
// times the first.
const mostDoublings = 6

// retry is when what has failed is tried again.
type retry struct {
	timer    *time.Timer
	attempts int
}

func (r *retry) reset() {
	if r.timer != nil {
		r.timer.Stop()
	}
	*r = retry{}
}

// wait is how long the next attempt waits.
func (r *retry) wait(first time.Duration) time.Duration {
	return first << min(r.attempts, mostDoublings)
}

// next counts an attempt.
func (r *retry) next() {
	attempts := r.attempts + 1
	r.reset()
	r.attempts = attempts
}

// done notes whether something succeeded; if not, again does it once more.
func (f *Follower) done(succeeded bool, about string, again func(context.Context)) {
	if succeeded {
		delete(f.again, about)
	} else {
		f.again[about] = again
	}
}

// plan sees to it that what has failed is tried again.
func (f *Follower) plan() {
	switch {
	case len(f.again) == 0:
		f.retry.reset()
	case f.retry.timer == nil:
		f.retry.timer = time.AfterFunc(f.retry.wait(f.o.RetryWait), f.tryAgain)
	}
}

// tryAgain runs when the timer does.
func (f *Follower) tryAgain() {
	duty := f.onDuty()
	release, err := f.hold(duty)
	if err != nil {
		return // everything is taken up when this node becomes active
	}
	defer release()
	f.retry.next()
	f.redo(duty)
}

func (f *Follower) onDuty() context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.duty
}

// redo does again what has failed.
func (f *Follower) redo(ctx context.Context) {
	for _, about := range slices.Sorted(maps.Keys(f.again)) {
		if ctx.Err() != nil {
			return
		}
		// One that came before may have made it needless.
		if again := f.again[about]; again != nil {
			again(ctx)
		}
	}
}
