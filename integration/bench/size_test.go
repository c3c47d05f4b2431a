// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

func TestSizesAreThreeAlsoWhenScaled(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{10_000, 100_000, 1_000_000}, scaled(1).keys)
	require.Equal(t, []int{100, 1_000, 10_000}, scaled(0.01).keys)
	require.Equal(t, []int{1, 2, 3}, scaled(0.00001).mounts, "they grow")
	require.Equal(t, []int{1, 10, 50}, scaled(1).secondaries)
}

func TestGrowthIsRowsAndLines(t *testing.T) {
	t.Parallel()
	b := &bench{}
	g := grows("keys", "How it grows.", "keys", inSeconds)
	g.at(b, 10, "first copy", 1)
	g.at(b, 10, "list", 0.1)
	g.at(b, 100, "first copy", 9)
	g.plot(b)
	require.Equal(t, []figures.Series{{ID: "keys", What: "How it grows.", X: figures.Axis{Name: "keys", Log: true},
		Y: inSeconds, Lines: []figures.Line{{Name: "first copy", Points: []figures.Point{{10, 1}, {100, 9}}},
			{Name: "list", Points: []figures.Point{{10, 0.1}}}}}}, b.result.Series)
	require.Len(t, b.result.Rows, 3)
	require.Equal(t, "keys-first-copy-100", b.result.Rows[2].ID)
	require.Equal(t, "first copy, 100 keys", b.result.Rows[2].What)
	require.Equal(t, seconds(9), b.result.Rows[2].Ours)
}

func TestMemoryIsWatchedFromTheBeginning(t *testing.T) {
	t.Parallel()
	lines := watchMemory(map[string]int{"this": os.Getpid(), "gone": 1 << 30}).stop()
	require.Len(t, lines, 1)
	require.Equal(t, "this", lines[0].Name)
	require.Greater(t, most(lines[0]), float64(1<<20))
}
