// SPDX-License-Identifier: MPL-2.0

package plots_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/bench/plots"
)

func TestASeriesIsDrawnWithItsNamesAndUnits(t *testing.T) {
	t.Parallel()
	s := figures.Series{ID: "growth", X: figures.Axis{Name: "keys", Log: true},
		Y: figures.Axis{Name: "time of the copy", Unit: figures.Seconds},
		Lines: []figures.Line{
			{Name: "first copy", Points: []figures.Point{{0, 9}, {1e4, 0.5}, {1e5, 5}, {1e6, 50}}},
			{Name: "nothing", Points: nil},
		}}
	svg, err := plots.SVG(s)
	require.NoError(t, err)
	for _, want := range []string{"<svg", ">keys<", ">time of the copy<", ">first copy<", ">100,000<", ">25 s<"} {
		require.Contains(t, string(svg), want)
	}
	require.NotContains(t, string(svg), ">nothing<")
	again, err := plots.SVG(s)
	require.NoError(t, err)
	require.Equal(t, svg, again)
	s.Lines[0].Points = []figures.Point{{1, 5}}
	_, err = plots.SVG(s)
	require.NoError(t, err, "a run that ended early has one point")
	s.Lines = s.Lines[1:]
	_, err = plots.SVG(s)
	require.ErrorContains(t, err, "growth has no points")
}
