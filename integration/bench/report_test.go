// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

func TestARowOfTurnsHasMediansAndTheRatioOfNeighbours(t *testing.T) {
	t.Parallel()
	ours := []sample{{perSecond: 100}, {perSecond: 300}, {perSecond: 200}}
	plain := []sample{{perSecond: 100}, {perSecond: 200}, {perSecond: 400}}
	r := compare(idWrites16, "writes", stock, ours, plain, perSecond, figures.PerSecond)
	require.Equal(t, rate(200), r.Ours)
	require.Equal(t, []figures.Side{{Who: stock, Values: rate(200)}}, r.Beside)
	require.Equal(t, &figures.Spread{Median: 1, Least: 0.5, Most: 1.5}, r.Ratio)
	require.Equal(t, map[string][]float64{"this build, /s": {100, 300, 200}, "stock Vault, /s": {100, 200, 400}}, r.Raw)
}

func TestRowsGetTheirGoalsAndNoneIsLeftOut(t *testing.T) {
	t.Parallel()
	b := &bench{}
	b.add(lagRow(idLag, "lag", figures.InSeconds([]time.Duration{time.Millisecond, 20 * time.Millisecond})))
	b.add(figures.Row{ID: idSnapshot, What: "no goal"})
	require.Equal(t, goals[idLag], b.result.Rows[0].Goals)
	require.Equal(t, figures.Under, b.result.Rows[0].Mark())
	require.Equal(t, figures.None, b.result.Rows[1].Mark())
	require.Len(t, b.result.Rows, 2)
}

func TestCatchUpCountsWritesAndNotSequences(t *testing.T) {
	t.Parallel()
	c := caughtUp{written: 1000, waited: time.Second, took: 2 * time.Second}
	// 1000 writes in 100 sequences. 20 of these had come when the clock began.
	require.InDelta(t, 400, c.rateOf(500, 520, 600), 0.01)
	require.InDelta(t, 1000.0/3, c.rateOf(500, 600, 600), 0.01, "all came at once")
}
