// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"fmt"
	"slices"
)

// Series are samples of one figure, at like moments of a long run, in order.
type Series []float64

// Thirds are the medians of the three thirds of a run. A median ignores a sample that was
// taken at a bad moment.
func (s Series) Thirds() (thirds [3]float64) {
	for i := range thirds {
		part := slices.Sorted(slices.Values(s[i*len(s)/3 : (i+1)*len(s)/3]))
		if len(part) > 0 {
			thirds[i] = part[len(part)/2]
		}
	}
	return thirds
}

// fewest samples are needed for a judgement.
const fewest = 9

// Flat says why the series is not flat. The last third's median may be above the middle
// one's by a share of it and a slack. In the first third a process fills its caches and
// pools.
func (s Series) Flat(share, slack float64) error {
	if len(s) < fewest {
		return fmt.Errorf("%d samples are too few to judge by", len(s))
	}
	t := s.Thirds()
	if most := t[1]*(1+share) + slack; t[2] > most {
		return fmt.Errorf("it grew from %.0f in the middle third to %.0f in the last one, more than %.0f (first third %.0f)",
			t[1], t[2], most, t[0])
	}
	return nil
}
