// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// strike makes the faults of the plan, one after another or several at a time.
func (r *run) strike(ctx context.Context, steps *Steps) {
	rng := r.plan.stream(3)
	var wg sync.WaitGroup
	for range r.plan.strikes {
		pause(ctx, time.Duration(rng.Int64N(int64(r.plan.length))/int64(r.plan.strikes)))
		if ctx.Err() != nil {
			break
		}
		all := r.nodes()
		n := all[rng.IntN(len(all))]
		kind := kinds[rng.IntN(len(kinds))]
		mine := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		if kind.grave {
			r.plan.grave++
		}
		wg.Go(func() { kind.do(ctx, n, mine) })
	}
	wg.Wait()
}

// kind is a class of faults; grave says that it may cost a copy.
type kind struct {
	grave bool
	do    func(ctx context.Context, n *node, rng *rand.Rand)
}

func short(rng *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(longest)))
}

var kinds = []kind{
	{false, func(_ context.Context, n *node, rng *rand.Rand) {
		n.crash(rng.IntN(2) == 0, short(rng, 5*time.Second))
	}},
}

// heal ends all faults.
func (r *run) heal() {}

// Steps counts the steps at which processes were ended.
type Steps struct {
	mu    sync.Mutex
	count map[string]int
}
