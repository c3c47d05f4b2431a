// SPDX-License-Identifier: MPL-2.0

package load

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckFindsWhatNoHistoryExplains(t *testing.T) {
	t.Parallel()
	journal := []Write{
		{Writer: 0, Number: 0, Begun: 1, Acknowledged: 2}, // hot
		{Writer: 1, Number: 1, Begun: 3, Acknowledged: 5},
		{Writer: 0, Number: 1, Begun: 4, Acknowledged: 6},
		{Writer: 0, Number: 2, Begun: 7, Acknowledged: 8}, // hot
		{Writer: 1, Number: 3, Begun: 9},
	}
	content := func(hot int, w0, w1 []int) Content {
		c := Content{Hot: map[int]int{0: hot}, Single: map[int]map[int]bool{0: {}, 1: {}}}
		for _, n := range w0 {
			c.Single[0][n] = true
		}
		for _, n := range w1 {
			c.Single[1][n] = true
		}
		return c
	}
	cases := map[string]struct {
		content  Content
		mustHave uint64
		wrong    string
	}{
		"all of it":                     {content: content(2, []int{1}, []int{1, 3})},
		"nothing":                       {content: content(-1, nil, nil)},
		"a prefix":                      {content: content(0, []int{1}, []int{1})},
		"of two at once only one":       {content: content(0, []int{1}, nil)},
		"an unanswered write is there":  {content: content(2, []int{1}, []int{1, 3})},
		"a gap before a single write":   {content: content(-1, nil, []int{1}), wrong: "write 0 of writer 0"},
		"a hot value from the future":   {content: content(2, nil, nil), wrong: "is missing although a later write"},
		"replicated and not there":      {content: content(0, []int{1}, nil), mustHave: 5, wrong: "write 1 of writer 1"},
		"an unanswered write after gap": {content: content(0, []int{1}, []int{1, 3}), wrong: "write 2 of writer 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Check(journal, c.content, c.mustHave)
			if c.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.wrong)
		})
	}
}
