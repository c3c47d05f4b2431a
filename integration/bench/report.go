// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// row is one line of the table.
type row struct{ what, plain, ours, ratio, target string }

func (b *bench) add(r row) {
	progress("%s: %s (stock %s, ratio %s, target %s)", r.what, r.ours, r.plain, r.ratio, r.target)
	b.rows = append(b.rows, r)
}

func (b *bench) report() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d cores, %s, %d rounds of %s a side\n\n", runtime.NumCPU(), runtime.Version(), b.rounds, b.round)
	s.WriteString("| what | stock Vault | this build | ratio, median (range) | target |\n|---|---|---|---|---|\n")
	for _, r := range b.rows {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n", r.what, r.plain, r.ours, r.ratio, r.target)
	}
	return s.String()
}

func median(samples []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio compares neighbours in time, pair by pair. What the machine does to one turn it
// mostly does to the next.
func ratio(ours, plain []sample, of func(sample) float64) string {
	var values []float64
	for i := range ours {
		values = append(values, of(ours[i])/of(plain[i]))
	}
	slices.Sort(values)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", values[len(values)/2], values[0], values[len(values)-1])
}
