// SPDX-License-Identifier: MPL-2.0

//go:build !race

package simulation_test

// defaultSeeds is how many seeds the test runs: some 30 ms of a processor each.
const defaultSeeds = 10_000
