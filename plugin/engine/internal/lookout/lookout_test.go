// SPDX-License-Identifier: MPL-2.0

package lookout_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lookout"
)

// change is what a place shows from a moment on.
type change struct {
	from  time.Duration
	sight lookout.Sight
}

func place(own bool, changes ...change) lookout.Place {
	begun := time.Now()
	return lookout.Place{Name: "p", Own: own, Look: func(context.Context) lookout.Sight {
		now := lookout.Nothing
		for _, c := range changes {
			if time.Since(begun) >= c.from {
				now = c.sight
			}
		}
		return now
	}}
}

// hung never answers.
func hung(ctx context.Context) lookout.Sight {
	<-ctx.Done()
	return lookout.Nothing
}

func TestFind(t *testing.T) {
	t.Parallel()
	const s = time.Second
	always := func(own bool, sight lookout.Sight) func() lookout.Place {
		return func() lookout.Place { return place(own, change{0, sight}) }
	}
	type places []func() lookout.Place
	for name, c := range map[string]struct {
		places   places
		hurry    bool
		endedAgo time.Duration
		want     lookout.Verdict
		least    time.Duration
		most     time.Duration
	}{
		"nobody to ask": {want: lookout.Gone},
		"a living primary": {places: places{always(true, lookout.Primary)}, want: lookout.Alive,
			least: 3 * s, most: 3 * s},
		"it lives whatever it said": {places: places{always(true, lookout.Primary),
			always(true, lookout.Former)}, want: lookout.Alive, least: 3 * s, most: 3 * s},
		"one that took its place": {places: places{always(true, lookout.Nothing),
			always(false, lookout.Primary)}, want: lookout.Alive, least: 3 * s, most: 3 * s},
		"nothing answers": {places: places{always(true, lookout.Nothing)}, want: lookout.Gone,
			least: 3 * s, most: 3 * s},
		"nothing has answered for long": {places: places{always(true, lookout.Nothing)}, endedAgo: time.Minute,
			want: lookout.Gone},
		"nothing has answered for a while": {places: places{always(true, lookout.Nothing)}, endedAgo: 2 * s,
			want: lookout.Gone, least: s, most: s},
		"it hangs": {places: places{func() lookout.Place {
			return lookout.Place{Own: true,
				Look: hung}
		}}, endedAgo: time.Minute, want: lookout.Gone, least: 3 * s, most: 3 * s},
		"it comes back": {
			places: places{func() lookout.Place { return place(true, change{2 * s, lookout.Primary}) }}, want: lookout.Alive,
			least: 3 * s, most: 3 * s},
		"it goes": {
			places: places{func() lookout.Place { return place(true, change{0, lookout.Primary}, change{s, lookout.Nothing}) }},
			want:   lookout.Gone, least: 3 * s, most: 4 * s},
		"it goes as one that was demoted": {
			places: places{func() lookout.Place { return place(true, change{0, lookout.Primary}, change{s, lookout.Former}) }},
			want:   lookout.Gone, least: s, most: 2 * s},
		"its API says so": {places: places{always(true, lookout.Somebody),
			always(true, lookout.Former)}, want: lookout.Gone},
		"another's API says so": {places: places{always(true, lookout.Somebody),
			always(false, lookout.Former)}, want: lookout.Unknown, least: 15 * s, most: 15 * s},
		"a standby": {places: places{always(true, lookout.Somebody)},
			want: lookout.Unknown, least: 15 * s, most: 15 * s},
		"a standby in a hurry": {places: places{always(true, lookout.Somebody)}, hurry: true,
			want: lookout.Unknown, least: 3 * s, most: 3 * s},
		"a standby that leads later": {
			places: places{func() lookout.Place {
				return place(true, change{0, lookout.Somebody},
					change{12 * s, lookout.Primary})
			}}, want: lookout.Alive, least: 12 * s, most: 13 * s},
		"a standby that dies": {
			places: places{func() lookout.Place {
				return place(true, change{0, lookout.Somebody},
					change{5 * s, lookout.Nothing})
			}}, want: lookout.Gone, least: 7 * s, most: 9 * s},
		"a node of a cluster that has not failed over": {places: places{always(false, lookout.Somebody),
			always(true, lookout.Nothing)}, want: lookout.Gone, least: 3 * s, most: 3 * s},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				search := lookout.Search{Hurry: c.hurry}
				for _, make := range c.places {
					search.Places = append(search.Places, make())
				}
				if c.endedAgo > 0 {
					search.Ended = time.Now().Add(-c.endedAgo)
				}
				begun := time.Now()
				got, _, err := search.Find(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				took := time.Since(begun)
				require.GreaterOrEqual(t, took, c.least)
				require.LessOrEqual(t, took, c.most+time.Second/2)
			})
		})
	}
}

func TestFindEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := lookout.Search{Places: []lookout.Place{{Own: true, Look: hung}}}.Find(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
