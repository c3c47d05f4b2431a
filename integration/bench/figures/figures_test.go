// SPDX-License-Identifier: MPL-2.0

package figures_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

func TestPercentilesAreNumbersThatWereMeasured(t *testing.T) {
	t.Parallel()
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for p, want := range map[int]float64{0: 1, 1: 1, 50: 50, 99: 99, 100: 100} {
		require.Equal(t, want, figures.Percentile(hundred, p), "p%d", p)
	}
	require.Equal(t, 100.0, hundred[0], "the numbers keep their order")
	require.Equal(t, 7.0, figures.Percentile([]float64{7}, 99))
	require.Equal(t, 2.0, figures.Percentile([]float64{3, 1, 2}, 50))
	require.Zero(t, figures.Percentile(nil, 50))
	require.Equal(t, "p50 20 ms", figures.Lags(figures.InSeconds([]time.Duration{20 * time.Millisecond}))[0].String())
}

func TestRatiosAreOfNeighbours(t *testing.T) {
	t.Parallel()
	got := figures.Compare([]float64{10, 40, 30}, []float64{10, 20, 20})
	require.Equal(t, &figures.Spread{Median: 1.5, Least: 1, Most: 2}, got)
	require.Equal(t, "1.50 (1.00–2.00)", got.String())
	require.Equal(t, "0.50", figures.Compare([]float64{1, 1}, []float64{2, 0}).String(),
		"a turn that did nothing is left out")
	require.Nil(t, figures.Compare(nil, nil))
}

func TestNumbersAsTheyArePrinted(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]figures.Value{
		"1.5 s":       {Number: 1.5, Unit: figures.Seconds},
		"412 µs":      {Number: 0.000412, Unit: figures.Seconds},
		"p99 4.57 ms": {Name: "p99", Number: 0.004567, Unit: figures.Seconds},
		"45,000/s":    {Number: 45_000.4, Unit: figures.PerSecond},
		"1.08":        {Number: 1.084, Unit: figures.Ratio},
		"1.37 GiB":    {Number: 1.37 * (1 << 30), Unit: figures.Bytes},
		"512 B":       {Number: 512, Unit: figures.Bytes},
		"1,000,000":   {Number: 1e6},
		"0":           {},
	} {
		require.Equal(t, want, v.String())
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	at := func(median float64) *figures.Spread {
		return &figures.Spread{Median: median, Least: median, Most: median}
	}
	lag := func(p50, p99 float64) []figures.Value {
		return []figures.Value{{Name: "p50", Number: p50, Unit: figures.Seconds},
			{Name: "p99", Number: p99, Unit: figures.Seconds}}
	}
	lagGoals := []figures.Goal{figures.TimeAtMost("p50", 0.002), figures.TimeAtMost("p99", 0.010)}
	for _, c := range []struct {
		why  string
		row  figures.Row
		want figures.Mark
	}{
		{"no goal", figures.Row{}, figures.None},
		{"at the bound", figures.Row{Ratio: at(1.15), Goals: []figures.Goal{figures.RatioAtLeast(1.15)}}, figures.Met},
		{"at the bound as printed", figures.Row{Ratio: at(1.1499), Goals: []figures.Goal{figures.RatioAtLeast(1.15)}},
			figures.Met},
		{"below", figures.Row{Ratio: at(1.144), Goals: []figures.Goal{figures.RatioAtLeast(1.15)}}, figures.Under},
		{"a cost above", figures.Row{Ratio: at(1.09), Goals: []figures.Goal{figures.RatioAtMost(1.08)}}, figures.Under},
		{"a cost below", figures.Row{Ratio: at(0.9), Goals: []figures.Goal{figures.RatioAtMost(1.08)}}, figures.Met},
		{"both", figures.Row{Ours: lag(0.002, 0.009), Goals: lagGoals}, figures.Met},
		{"one of two", figures.Row{Ours: lag(0.001, 0.011), Goals: lagGoals}, figures.Under},
		{"a rate", figures.Row{Ours: []figures.Value{{Number: 5000, Unit: figures.PerSecond}},
			Goals: []figures.Goal{figures.RateAtLeast(5000)}}, figures.Met},
		{"nothing was measured", figures.Row{Goals: lagGoals}, figures.NotMeasured},
		{"skipped", figures.Row{Ours: lag(0, 0), Skipped: "no right to", Goals: lagGoals}, figures.NotMeasured},
	} {
		require.Equal(t, c.want, c.row.Mark(), c.why)
	}
}

func example() *figures.Run {
	return &figures.Run{
		Kind: figures.Goals, Date: time.Date(2026, 11, 30, 22, 5, 0, 0, time.UTC), Commit: "abc1234", Command: "make bench",
		Machine: figures.Machine{Cores: 2, Go: "go1.26.8", Load: "0.1"},
		Rows: []figures.Row{
			{ID: "writes-1", What: "writes, 1 client", Ours: []figures.Value{{Number: 400, Unit: figures.PerSecond}},
				Beside: []figures.Side{{Who: "stock Vault", Values: []figures.Value{{Number: 500, Unit: figures.PerSecond}}}},
				Ratio:  &figures.Spread{Median: 0.8, Least: 0.7, Most: 0.9}, Goals: []figures.Goal{figures.RatioAtLeast(1)},
				Raw: map[string][]float64{"ours, /s": {400}}},
			{ID: "lag", What: "lag", Notes: []string{"600 probes", "upper bound"}, Ours: figures.Lags([]float64{0.001}),
				Goals: []figures.Goal{figures.TimeAtMost("p50", 0.002)}},
			{ID: "delay", What: "on a long way", Skipped: "not | allowed here", Goals: []figures.Goal{figures.RateAtLeast(5)}},
			{ID: "stock", What: "snapshot", Beside: []figures.Side{{Who: "stock Vault"}}},
		},
		Series: []figures.Series{{ID: "growth", What: "How it grows.", X: figures.Axis{Name: "keys", Log: true},
			Y:     figures.Axis{Name: "time", Unit: figures.Seconds},
			Lines: []figures.Line{{Name: "copy", Points: []figures.Point{{1, 2}}}}}},
	}
}

func TestTableHasEveryRowWithItsMark(t *testing.T) {
	t.Parallel()
	r := example()
	require.Equal(t, `| what | beside | this build | ratio, median (range) | target | mark |
|---|---|---|---|---|---|
| writes, 1 client | stock Vault: 500/s | 400/s | 0.80 (0.70–0.90) | ≥ 1.00 | **under target** |
| lag (600 probes; upper bound) | – | p50 1 ms, p99 1 ms | – | p50 ≤ 2 ms | met |
| on a long way | – | not \| allowed here | – | ≥ 5/s | not measured |
| snapshot | stock Vault:  | – | – | – | – |
`, r.Table())
	require.Equal(t, `| what | this build | target | mark |
|---|---|---|---|
| writes, 1 client | 0.80 | ≥ 1.00 | **under target** |
| lag | p50 1 ms | p50 ≤ 2 ms | met |
| on a long way | – | ≥ 5/s | not measured |
`, r.Short())
	require.Equal(t, "1 rows meet their targets, 1 are under, 1 were not measured", r.Summary())
	require.Equal(t, "`make bench` on 2026-11-30 at abc1234, 2 cores, go1.26.8, load 0.1 at the start", r.Origin())
}

func TestARunIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none, _, err := figures.Newest(dir+"/not there", figures.Goals)
	require.NoError(t, err)
	require.Nil(t, none)
	older, newer := example(), example()
	older.Date = older.Date.Add(-time.Hour)
	newer.Modified = true
	for _, r := range []*figures.Run{newer, older} {
		_, err := r.Write(dir)
		require.NoError(t, err)
	}
	sizes := example()
	sizes.Kind, sizes.Date = figures.Sizes, sizes.Date.Add(time.Hour)
	_, err = sizes.Write(dir)
	require.NoError(t, err)

	got, file, err := figures.Newest(dir, figures.Goals)
	require.NoError(t, err)
	require.Equal(t, dir+"/2026-11-30-2205-abc1234-modified-bench.json", file)
	require.Equal(t, newer, got)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = figures.Read(file)
	require.ErrorContains(t, err, file)
}
