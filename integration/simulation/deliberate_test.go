// SPDX-License-Identifier: MPL-2.0

package simulation_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/simulation"
)

// Each fault that is made on purpose is found, by the check that is meant for it.
func TestDeliberateFaultsAreFound(t *testing.T) {
	const enough = 300
	set := makeSet(t)
	for _, d := range simulation.Deliberates {
		t.Run(d.Name, func(t *testing.T) {
			others := map[simulation.Check]int{}
			for seed := range uint64(enough) {
				var f *simulation.Failure
				synctest.Test(t, func(*testing.T) {
					f = simulation.Run(seed, set, simulation.Options{Tamper: d.Make()})
				})
				if f != nil && f.Check == d.Caught {
					t.Logf("found with %d seeds: %v", seed+1, f)
					return
				}
				if f != nil {
					others[f.Check]++
				}
			}
			require.Failf(t, "not found", "%d seeds, found by other checks: %v", enough, others)
		})
	}
}
