// SPDX-License-Identifier: MPL-2.0

//go:build race

package simulation_test

// defaultSeeds is few where each costs ten times as much: it is enough to look for
// races.
const defaultSeeds = 20
