// SPDX-License-Identifier: MPL-2.0

//go:build !race

package simulation_test

// defaultSeeds is how many seeds the test runs.
const defaultSeeds = 100
