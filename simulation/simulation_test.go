// SPDX-License-Identifier: MPL-2.0

package simulation_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/simulation"
)

var (
	one   = flag.Int64("seed", -1, "run this seed alone and print what happens")
	seeds = flag.Int("seeds", 0, "how many seeds to run")
	first = flag.Uint64("first", 0, "the first seed")
)

func makeSet(t *testing.T) *simulation.Set {
	var set *simulation.Set
	synctest.Test(t, func(t *testing.T) {
		var err error
		set, err = simulation.NewSet(t.Context(), 2)
		require.NoError(t, err)
	})
	return set
}

func TestSeeds(t *testing.T) {
	set := makeSet(t)
	if *one >= 0 {
		synctest.Test(t, func(t *testing.T) {
			if f := simulation.Run(uint64(*one), set, simulation.Options{Debug: os.Stderr}); f != nil {
				f.WriteLog(os.Stderr)
				t.Fatal(f)
			}
		})
		return
	}
	n := *seeds
	if n == 0 {
		n = defaultSeeds
	}
	// Runs are many and small: the collector need not come after each few of them.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	steps := &simulation.Steps{}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := uint64(next.Add(1)-1) + *first
				if i >= uint64(n)+*first || failed.Load() > 3 {
					return
				}
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						if f := simulation.Run(i, set, simulation.Options{Steps: steps}); f != nil {
							failed.Add(1)
							t.Errorf("%v\nrun it alone: go test ./simulation -run TestSeeds -seed %d", f, i)
						}
					})
				})
			}
		})
	}
	wg.Wait()
	if failed.Load() == 0 && n >= 1000 {
		require.Empty(t, steps.Missing(), "every named step is one at which a process was ended")
	}
	if testing.Verbose() {
		_, _ = steps.WriteTo(os.Stdout)
	}
}
