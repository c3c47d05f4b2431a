// SPDX-License-Identifier: MPL-2.0

package plots

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

// The size of a plot: as wide as a page of text.
const (
	width  = 7 * vg.Inch
	height = 4 * vg.Inch
)

// SVG draws a series.
func SVG(s figures.Series) ([]byte, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = s.X.Name, s.Y.Name
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	scale(&p.X, s.X)
	scale(&p.Y, s.Y)
	drawn := 0
	for i, line := range s.Lines {
		points := onScale(s, line)
		if len(points) == 0 {
			continue
		}
		drawn++
		l, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", s.ID, line.Name, err)
		}
		l.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
		l.Width, dots.Shape = vg.Points(1.5), plotutil.Shape(i)
		p.Add(l)
		// Dots of many points would hide the line.
		if len(points) <= 20 {
			p.Add(dots)
			p.Legend.Add(line.Name, l, dots)
		} else {
			p.Legend.Add(line.Name, l)
		}
	}
	if drawn == 0 {
		return nil, errors.New(s.ID + " has no points that can be drawn")
	}
	widen(&p.X, s.X)
	widen(&p.Y, s.Y)
	if !s.Y.Log {
		p.Y.Min = min(p.Y.Min, 0)
	}
	w, err := p.WriterTo(width, height, "svg")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	return b.Bytes(), err
}

// onScale are the points that have a place on the plot: on a logarithmic scale only what is above 0.
func onScale(s figures.Series, line figures.Line) plotter.XYs {
	var points plotter.XYs
	for _, xy := range line.Points {
		if (s.X.Log && xy[0] <= 0) || (s.Y.Log && xy[1] <= 0) || math.IsNaN(xy[0]) || math.IsNaN(xy[1]) {
			continue
		}
		points = append(points, plotter.XY{X: xy[0], Y: xy[1]})
	}
	return points
}

func scale(a *plot.Axis, of figures.Axis) {
	a.Tick.Marker = units{of: plot.DefaultTicks{}, unit: of.Unit}
	if of.Log {
		a.Scale = plot.LogScale{}
		a.Tick.Marker = units{of: plot.LogTicks{Prec: -1}, unit: of.Unit}
	}
}

// widen gives a logarithmic axis with one value alone a length. The library would begin it at or below 0.
func widen(a *plot.Axis, of figures.Axis) {
	if of.Log && a.Min == a.Max {
		a.Min, a.Max = a.Min/2, a.Max*2
	}
}

// units labels ticks as the table writes figures.
type units struct {
	of   plot.Ticker
	unit figures.Unit
}

// Ticks implements plot.Ticker.
func (u units) Ticks(least, most float64) []plot.Tick {
	ticks := u.of.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = figures.Value{Number: ticks[i].Value, Unit: u.unit}.String()
		}
	}
	return ticks
}
