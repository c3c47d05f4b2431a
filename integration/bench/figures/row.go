// SPDX-License-Identifier: MPL-2.0

package figures

import (
	"slices"
	"strings"
)

// Row is one line of the table.
type Row struct {
	// ID names the row over all runs.
	ID   string `json:"id"`
	What string `json:"what"`
	// Notes are what a reader has to know beside the figures of this run.
	Notes []string `json:"notes,omitempty"`
	Ours  []Value  `json:"ours,omitempty"`
	// Beside are what was measured in the same run to compare with.
	Beside []Side `json:"beside,omitempty"`
	// Ratio is of this build over the first of Beside, or as What says.
	Ratio *Spread `json:"ratio,omitempty"`
	Goals []Goal  `json:"goals,omitempty"`
	// Skipped says why the row could not be measured on this machine.
	Skipped string `json:"skipped,omitempty"`
	// Raw are all the numbers that the figures were made from, by what they are.
	Raw map[string][]float64 `json:"raw,omitempty"`
}

// Side is another server that did the same, or what is nearest to it.
type Side struct {
	Who    string  `json:"who"`
	Values []Value `json:"values"`
}

// ofRatio is the Goal.Of of a row's ratio.
const ofRatio = "ratio"

// Goal is a bound of one figure of a row.
type Goal struct {
	// Of is the figure's name, "ratio", or empty for a row's only figure.
	Of      string  `json:"of,omitempty"`
	AtLeast bool    `json:"at_least,omitempty"`
	Bound   float64 `json:"bound"`
	Unit    Unit    `json:"unit"`
}

// RatioAtLeast and the others make goals.
func RatioAtLeast(bound float64) Goal {
	return Goal{Of: ofRatio, AtLeast: true, Bound: bound, Unit: Ratio}
}

// RatioAtMost is the goal of a cost.
func RatioAtMost(bound float64) Goal { return Goal{Of: ofRatio, Bound: bound, Unit: Ratio} }

// RateAtLeast is the goal of a row whose figure is a rate.
func RateAtLeast(bound float64) Goal { return Goal{AtLeast: true, Bound: bound, Unit: PerSecond} }

// TimeAtMost is the goal of a time with a name, or of a row's only one.
func TimeAtMost(of string, seconds float64) Goal { return Goal{Of: of, Bound: seconds, Unit: Seconds} }

func (g Goal) String() string {
	sign := "≤"
	if g.AtLeast {
		sign = "≥"
	}
	text := sign + " " + g.Unit.format(g.Bound)
	if g.Of != "" && g.Of != ofRatio {
		text = g.Of + " " + text
	}
	return text
}

// Mark says how a row stands to its goals.
type Mark string

// A row without goals has no mark. Under is the mark of a row that misses any of its goals.
const (
	None        Mark = "–"
	Met         Mark = "met"
	Under       Mark = "**under target**"
	NotMeasured Mark = "not measured"
)

// Mark judges the row.
func (r *Row) Mark() Mark {
	if len(r.Goals) == 0 {
		return None
	}
	if r.Skipped != "" {
		return NotMeasured
	}
	mark := Met
	for _, g := range r.Goals {
		number, ok := r.figure(g.Of)
		switch {
		case !ok:
			return NotMeasured
		case g.AtLeast && number < g.Bound, !g.AtLeast && number > g.Bound:
			mark = Under
		}
	}
	return mark
}

// figure is the number of that name. A ratio is judged by its median, and with two digits as it is
// printed, so that a table never calls 1.15 less than 1.15.
func (r *Row) figure(of string) (float64, bool) {
	if of == ofRatio {
		if r.Ratio == nil {
			return 0, false
		}
		return float64(int64(r.Ratio.Median*100+0.5)) / 100, true
	}
	i := slices.IndexFunc(r.Ours, func(v Value) bool { return v.Name == of })
	if i < 0 {
		return 0, false
	}
	return r.Ours[i].Number, true
}

// line is the row in a Markdown table.
func (r *Row) line() string {
	var sides, goals []string
	for _, s := range r.Beside {
		sides = append(sides, s.Who+": "+list(s.Values))
	}
	for _, g := range r.Goals {
		goals = append(goals, g.String())
	}
	what := r.What
	if len(r.Notes) > 0 {
		what += " (" + strings.Join(r.Notes, "; ") + ")"
	}
	ratio, ours := "", list(r.Ours)
	if r.Ratio != nil {
		ratio = r.Ratio.String()
	}
	if r.Skipped != "" {
		ours = r.Skipped
	}
	return cells(what, strings.Join(sides, "; "), ours, ratio, strings.Join(goals, ", "), string(r.Mark()))
}

// cells is a line of a Markdown table. A bar in a text would begin a cell of its own.
func cells(texts ...string) string {
	for i := range texts {
		texts[i] = dash(strings.ReplaceAll(texts[i], "|", "\\|"))
	}
	return "| " + strings.Join(texts, " | ") + " |\n"
}

func list(values []Value) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
