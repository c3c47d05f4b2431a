// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is known of rows takes the room of their gaps.
func TestNumbersOfRows(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s numberSet
		want := map[uint64]bool{}
		for range 200 {
			n := rng.Uint64N(120)
			s.add(n)
			want[n] = true
		}
		gaps := 0
		for n := range uint64(121) {
			require.Equal(t, want[n], s.have(n), n)
			if want[n] && !want[n+1] {
				gaps++
			}
		}
		require.Equal(t, gaps, len(s.runs))
	}
}
