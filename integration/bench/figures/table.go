// SPDX-License-Identifier: MPL-2.0

package figures

import (
	"fmt"
	"strings"
)

// Table is the run's rows in Markdown, all of them, whatever their marks.
func (r *Run) Table() string {
	var s strings.Builder
	s.WriteString("| what | beside | this build | ratio, median (range) | target | mark |\n|---|---|---|---|---|---|\n")
	for i := range r.Rows {
		s.WriteString(r.Rows[i].line())
	}
	return s.String()
}

// Short is the table of the rows that have goals, without notes and what was measured beside.
func (r *Run) Short() string {
	var s strings.Builder
	s.WriteString("| what | this build | target | mark |\n|---|---|---|---|\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		if len(row.Goals) == 0 {
			continue
		}
		var goals []string
		var judged []Value
		for _, g := range row.Goals {
			goals = append(goals, g.String())
			if number, ok := row.figure(g.Of); ok && row.Skipped == "" {
				v := Value{Name: g.Of, Number: number, Unit: g.Unit}
				if g.Of == ofRatio {
					v.Name = ""
				}
				judged = append(judged, v)
			}
		}
		s.WriteString(cells(row.What, list(judged), strings.Join(goals, ", "), string(row.Mark())))
	}
	return s.String()
}

// Summary counts the marks.
func (r *Run) Summary() string {
	counts := map[Mark]int{}
	for i := range r.Rows {
		counts[r.Rows[i].Mark()]++
	}
	return fmt.Sprintf("%d rows meet their targets, %d are under, %d were not measured", counts[Met], counts[Under],
		counts[NotMeasured])
}

// Origin says when, where and of what the run is.
func (r *Run) Origin() string {
	commit := r.Commit
	if r.Modified {
		commit += " with changes"
	}
	return fmt.Sprintf("`%s` on %s at %s, %s", r.Command, r.Date.UTC().Format("2006-01-02"), commit, r.Machine)
}
