// SPDX-License-Identifier: MPL-2.0

package simulation_test

import (
	"bytes"
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

	"github.com/vault-replication/vault-replication/integration/simulation"
)

var (
	one   = flag.Int64("seed", -1, "run this seed alone and print what happens")
	seeds = flag.Int("seeds", defaultSeeds, "how many seeds to run")
	first = flag.Uint64("first", 0, "the first seed")
)

// failuresShown is how many seeds may fail before the rest is left out.
const failuresShown = 4

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
	n := uint64(*seeds)
	if testing.Short() {
		n = min(n, 100)
	}
	// Runs are many and small: the collector need not come after each few of them.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	steps := &simulation.Steps{}
	var next, failed atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n && failed.Load() < failuresShown; i = next.Add(1) - 1 {
				seed := i + *first
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						if f := simulation.Run(seed, set, simulation.Options{Steps: steps}); f != nil {
							failed.Add(1)
							show(t, f)
						}
					})
				})
			}
		})
	}
	wg.Wait()
	if testing.Verbose() {
		_, _ = steps.WriteTo(os.Stdout)
	}
	if failed.Load() == 0 && n >= 10_000 {
		require.Empty(t, steps.Missing(), "steps at which no process has ended")
	}
}

// show prints a failure with the end of its log: goroutines that are ready at the
// same moment may run in another order the next time.
func show(t *testing.T, f *simulation.Failure) {
	const tail = 120
	var log bytes.Buffer
	f.WriteLog(&log)
	lines := bytes.SplitAfter(log.Bytes(), []byte("\n"))
	lines = lines[max(0, len(lines)-tail):]
	t.Errorf("%v\nrun it alone: go test ./integration/simulation -run TestSeeds -seed %d\n%s", f, f.Seed,
		bytes.Join(lines, nil))
}
