// SPDX-License-Identifier: MPL-2.0

package figures

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit says what a number counts.
type Unit string

// The units are plain ones, so that a reader of the JSON needs no table of prefixes.
const (
	Seconds   Unit = "s"
	PerSecond Unit = "/s"
	Bytes     Unit = "B"
	Ratio     Unit = "ratio"
	Count     Unit = ""
)

// Value is one figure. Name is empty where a row has one figure alone.
type Value struct {
	Name   string  `json:"name,omitempty"`
	Number float64 `json:"number"`
	Unit   Unit    `json:"unit"`
}

// String is the figure with as many digits as it is worth.
func (v Value) String() string {
	text := v.Unit.format(v.Number)
	if v.Name != "" {
		text = v.Name + " " + text
	}
	return text
}

func (u Unit) format(number float64) string {
	switch u {
	case Seconds:
		return formatSeconds(number)
	case PerSecond:
		return significant(number) + "/s"
	case Bytes:
		return formatBytes(number)
	case Ratio:
		return strconv.FormatFloat(number, 'f', 2, 64)
	case Count:
	}
	return significant(number)
}

func formatSeconds(s float64) string {
	switch {
	case s >= 1, s == 0:
		return significant(s) + " s"
	case s >= 0.001:
		return significant(s*1e3) + " ms"
	default:
		return significant(s*1e6) + " µs"
	}
}

func formatBytes(b float64) string {
	switch {
	case b >= 1<<30:
		return significant(b/(1<<30)) + " GiB"
	case b >= 1<<20:
		return significant(b/(1<<20)) + " MiB"
	case b >= 1<<10:
		return significant(b/(1<<10)) + " KiB"
	default:
		return significant(b) + " B"
	}
}

// significant has three digits, and all that stand before the point.
func significant(f float64) string {
	digits := 2
	for most := 10.0; f >= most && digits > 0; most *= 10 {
		digits--
	}
	text := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return group(text)
}

// group puts a comma before each three digits of a whole number.
func group(text string) string {
	if strings.ContainsAny(text, ".-") {
		return text
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Percentile is the smallest of the numbers that p of a hundred of them do not exceed, and 0 of
// none.
func Percentile(numbers []float64, p int) float64 {
	if len(numbers) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Lags are the two percentiles that a lag is judged by.
func Lags(seconds []float64) []Value {
	return []Value{{Name: "p50", Number: Percentile(seconds, 50), Unit: Seconds},
		{Name: "p99", Number: Percentile(seconds, 99), Unit: Seconds}}
}

// InSeconds are durations as numbers.
func InSeconds(all []time.Duration) []float64 {
	numbers := make([]float64, len(all))
	for i, d := range all {
		numbers[i] = d.Seconds()
	}
	return numbers
}

// Spread is a median with its range.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func (s Spread) String() string {
	if s.Least == s.Most {
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Least, s.Most)
}

// Median is the middle one of the numbers, and 0 of none.
func Median(numbers []float64) float64 { return Percentile(numbers, 50) }

// Compare divides neighbours in time, pair by pair. What the machine does to one turn it mostly
// does to the next.
func Compare(measured, reference []float64) *Spread {
	var ratios []float64
	for i := range min(len(measured), len(reference)) {
		if reference[i] > 0 {
			ratios = append(ratios, measured[i]/reference[i])
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	return &Spread{Median: Median(ratios), Least: slices.Min(ratios), Most: slices.Max(ratios)}
}
