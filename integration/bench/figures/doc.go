// SPDX-License-Identifier: MPL-2.0

// Package figures is the form of what the benchmarks measure: rows with goals and marks, series
// that can be plotted, and the raw numbers of both. A run is written as JSON, so that a table and
// plots can be made from it later.
package figures
