// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

// project is a top folder with the two pages.
func project(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(top, "docs", "benchmarks"), 0o700))
	for _, name := range []string{"README.md", "docs/benchmarks.md"} {
		require.NoError(t, os.WriteFile(filepath.Join(top, name), []byte("above\n"+begin+"\nold\n"+end+"\nbelow\n"), 0o600))
	}
	return top
}

func page(t *testing.T, top, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	require.NoError(t, err)
	return string(text)
}

func TestPagesAreMadeFromTheNewestRuns(t *testing.T) {
	t.Parallel()
	top := project(t)
	require.NoError(t, run(top))
	require.Equal(t, "above\n"+begin+"\n\n"+notYet+"\n"+end+"\nbelow\n", page(t, top, "README.md"))

	r := &figures.Run{Kind: figures.Goals, Date: time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC), Commit: "abc1234",
		Command: "make bench", Rows: []figures.Row{{ID: "lag", What: "lag", Ours: figures.Lags([]float64{0.004}),
			Goals: []figures.Goal{figures.TimeAtMost("p50", 0.002)},
			Raw:   map[string][]float64{"lags, s": {0.004, 0.005}, "PostgreSQL lags, s": {0.001}, "s": {1}}}}}
	_, err := r.Write(filepath.Join(top, "docs", "benchmarks"))
	require.NoError(t, err)
	sizes := &figures.Run{Kind: figures.Sizes, Date: r.Date, Series: []figures.Series{{ID: "growth", What: "How it grows.",
		Lines: []figures.Line{{Name: "copy", Points: []figures.Point{{1, 1}, {2, 2}}}}}}}
	_, err = sizes.Write(filepath.Join(top, "docs", "benchmarks"))
	require.NoError(t, err)
	for range 2 { // what was made is replaced
		require.NoError(t, run(top))
	}
	short, long := page(t, top, "README.md"), page(t, top, "docs/benchmarks.md")
	require.Contains(t, short, "| lag | p50 4 ms | p50 ≤ 2 ms | **under target** |")
	require.Contains(t, long, "| lag | – | p50 4 ms, p99 4 ms | – | p50 ≤ 2 ms | **under target** |")
	require.Contains(t, long, "(benchmarks/2026-11-30-2200-abc1234-bench.json)")
	require.Contains(t, long, "How it grows.\n\n![growth](benchmarks/growth.svg)")
	require.Equal(t, 1, strings.Count(long, "above"))
	require.NotContains(t, long, "old")
	require.Contains(t, page(t, top, "docs/benchmarks/lag.svg"), ">PostgreSQL<")
	require.Contains(t, page(t, top, "docs/benchmarks/growth.svg"), ">copy<")

	require.NoError(t, os.WriteFile(filepath.Join(top, "README.md"), []byte("nothing"), 0o600))
	require.ErrorContains(t, run(top), "README.md: the lines between which")
}

// Somebody who adds a run and forgets the pages is told so.
func TestThePagesOfTheProjectAreThoseOfTheNewestRuns(t *testing.T) {
	t.Parallel()
	files, err := pages("../../..")
	require.NoError(t, err)
	for name, want := range files {
		require.Equal(t, string(want), page(t, "../../..", name), "run: go run ./integration/bench/page")
	}
}

func TestParagraphsAreWrapped(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(wrap(strings.Repeat("wörter ", 60))) {
		require.LessOrEqual(t, len([]rune(line)), 119)
	}
	require.Equal(t, "a b\n", wrap(" a  b "))
}
