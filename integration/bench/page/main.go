// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/bench/plots"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

// newest are the last runs of each kind, nil where there is none yet.
type newest struct {
	goals, sizes         *figures.Run
	goalsFile, sizesFile string
}

func find(dir string) (n newest, err error) {
	if n.goals, n.goalsFile, err = figures.Newest(dir, figures.Goals); err != nil {
		return n, err
	}
	n.sizes, n.sizesFile, err = figures.Newest(dir, figures.Sizes)
	return n, err
}

// run writes everything below the top folder.
func run(top string) error {
	files, err := pages(top)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(top, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages are all files that are made from runs, as they should be.
func pages(top string) (map[string][]byte, error) {
	n, err := find(filepath.Join(top, "docs", "benchmarks"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, text := range map[string]string{
		"README.md": n.short(), filepath.Join("docs", "benchmarks.md"): n.long(),
	} {
		old, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return nil, err
		}
		page, err := replace(string(old), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = []byte(page)
	}
	for _, s := range n.series() {
		svg, err := plots.SVG(s)
		if err != nil {
			return nil, err
		}
		files[filepath.Join("docs", "benchmarks", s.ID+".svg")] = svg
	}
	return files, nil
}

// series are what is plotted of both runs.
func (n newest) series() []figures.Series {
	var all []figures.Series
	if n.goals != nil {
		if s, ok := distribution(n.goals); ok {
			all = append(all, s)
		}
		all = append(all, n.goals.Series...)
	}
	if n.sizes != nil {
		all = append(all, n.sizes.Series...)
	}
	return all
}

// distribution is of all lags of a run: how many of a hundred probes were seen within a time.
func distribution(r *figures.Run) (figures.Series, bool) {
	s := figures.Series{ID: "lag", What: "How many of a hundred probes were readable on the secondary within a time " +
		"after the primary's answer, at 500 writes a second.",
		X: figures.Axis{Name: "time after the answer", Unit: figures.Seconds, Log: true},
		Y: figures.Axis{Name: "probes of a hundred"}}
	for i := range r.Rows {
		for name, lags := range r.Rows[i].Raw {
			if !strings.HasSuffix(name, "lags, s") {
				continue
			}
			line := figures.Line{Name: strings.TrimSpace(strings.TrimSuffix(name, "lags, s"))}
			if line.Name == "" {
				line.Name = r.Rows[i].ID
			}
			for p := 1; p <= 99; p++ {
				line.Points = append(line.Points, figures.Point{figures.Percentile(lags, p), float64(p)})
			}
			s.Lines = append(s.Lines, line)
		}
	}
	slices.SortFunc(s.Lines, func(a, b figures.Line) int { return strings.Compare(a.Name, b.Name) })
	return s, len(s.Lines) > 0
}
