// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
)

// stock is the name of the reference of most rows.
const stock = "stock Vault"

// add adds a row, with the goals of its name.
func (b *bench) add(r figures.Row) {
	r.Goals = goals[r.ID]
	b.result.Rows = append(b.result.Rows, r)
	progress("%s: %v, beside %v, ratio %v: %s", r.What, r.Ours, r.Beside, r.Ratio, r.Mark())
}

// report prints the table and writes the raw numbers where they were asked for.
func (b *bench) report() error {
	fmt.Printf("%s\n\n%s\n%s\n", b.result.Origin(), b.result.Table(), b.result.Summary())
	if b.json == "" {
		return nil
	}
	file, err := b.result.Write(b.json)
	if err == nil {
		progress("the raw numbers are in %s", file)
	}
	return err
}

func rate(n float64) []figures.Value { return []figures.Value{{Number: n, Unit: figures.PerSecond}} }

func seconds(n float64) []figures.Value { return []figures.Value{{Number: n, Unit: figures.Seconds}} }

// compare makes the row of what two clusters did in turns.
func compare(id, what, who string, measured, reference []sample, of func(sample) float64,
	unit figures.Unit) figures.Row {
	ours, theirs := all(measured, of), all(reference, of)
	one := func(numbers []float64) []figures.Value {
		return []figures.Value{{Number: figures.Median(numbers), Unit: unit}}
	}
	return figures.Row{
		ID: id, What: what, Ours: one(ours), Beside: []figures.Side{{Who: who, Values: one(theirs)}},
		Ratio: figures.Compare(ours, theirs),
		Raw:   map[string][]float64{fmt.Sprintf("this build, %s", unit): ours, fmt.Sprintf("%s, %s", who, unit): theirs},
	}
}

func all(samples []sample, of func(sample) float64) []float64 {
	numbers := make([]float64, len(samples))
	for i, s := range samples {
		numbers[i] = of(s)
	}
	return numbers
}

// lagRow makes the row of probes.
func lagRow(id, what string, lags []float64) figures.Row {
	return figures.Row{ID: id, What: what, Notes: []string{fmt.Sprintf("%d probes", len(lags))}, Ours: figures.Lags(lags),
		Raw: map[string][]float64{"lags, s": lags}}
}
