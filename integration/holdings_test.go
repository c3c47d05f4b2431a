// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// What is flat: the median of the last third of all samples is at most that of the middle
// third and a little more. For memory a share of it too: when the garbage of a heap is
// collected is its own affair. A leak of one descriptor or goroutine for each time that a
// link fails goes over it in a run of an hour, which has more than a hundred of them in
// each third; in a short one a leak of some for each goes over it.
const (
	memoryShare    = 0.10
	memorySlack    = 16 << 20
	countSlack     = 2
	goroutineSlack = 12
)

// holding is one figure of one process.
type holding struct{ process, figure string }

// holds is a figure over time.
type holds struct{ procfs.Series }

// holdings are the figures of all processes of some clusters.
type holdings struct {
	of       []*cluster.Cluster
	series   map[holding]*holds
	profiles map[string][]byte
}

func (h *holdings) add(process, figure string, value float64) {
	key := holding{process, figure}
	if h.series[key] == nil {
		h.series[key] = &holds{}
	}
	h.series[key].Series = append(h.series[key].Series, value)
}

// sample looks at every process once.
func (h *holdings) sample(t *testing.T) {
	t.Helper()
	h.profiles = map[string][]byte{}
	for _, c := range h.of {
		n := c.Node(0)
		tree, err := procfs.Tree(n.PID())
		require.NoError(t, err)
		for _, pid := range tree {
			h.process(t, c.Options().Name, pid)
		}
		count, profile, err := n.Goroutines(t.Context())
		require.NoError(t, err)
		host := c.Options().Name + " vault-replication"
		h.add(host, "goroutines", float64(count))
		h.profiles[host] = profile
	}
}

func (h *holdings) process(t *testing.T, of string, pid int) {
	t.Helper()
	exe, noExe := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	name := of + " " + filepath.Base(exe)
	memory, noMemory := procfs.Anonymous(pid)
	descriptors, noDescriptors := procfs.Descriptors(pid)
	err := errors.Join(noExe, noMemory, noDescriptors)
	if errors.Is(err, os.ErrNotExist) {
		return // it has just ended
	}
	require.NoError(t, err)
	h.add(name, "memory", float64(memory))
	h.add(name, "descriptors", float64(descriptors))
}

// requireFlat says of every figure what it was, and fails for those that grew.
func (h *holdings) requireFlat(t *testing.T) {
	t.Helper()
	keys := make([]holding, 0, len(h.series))
	for key := range h.series {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b holding) int { return strings.Compare(a.process+a.figure, b.process+b.figure) })
	for _, key := range keys {
		series := h.series[key].Series
		share, slack, unit := 0.0, float64(countSlack), 1.0
		switch key.figure {
		case "memory":
			share, slack, unit = memoryShare, memorySlack, 1<<20
		case "goroutines":
			slack = goroutineSlack
		}
		thirds := series.Thirds()
		t.Logf("%s, %s: medians of the thirds %.1f, %.1f, %.1f, lowest %.1f, highest %.1f, %d samples", key.process,
			key.figure,
			thirds[0]/unit, thirds[1]/unit, thirds[2]/unit, slices.Min(series)/unit, slices.Max(series)/unit, len(series))
		if err := series.Flat(share, slack); err != nil {
			t.Errorf("%s, %s: %v", key.process, key.figure, err)
			if profile, ok := h.profiles[key.process]; ok && key.figure == "goroutines" {
				t.Logf("what its goroutines do:\n%.20000s", profile)
			}
		}
	}
	require.GreaterOrEqual(t, len(keys), 3*2+4*2+3, "three hosts, and the plugins that work")
}
