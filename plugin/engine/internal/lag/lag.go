// SPDX-License-Identifier: MPL-2.0

// Package lag turns positions into time. From time to time the primary says at which position it was at which time of
// its clock. The lag of a secondary is the age of the newest such point that it has reached. This works also while
// nothing is written, and never compares two clocks.
package lag

import (
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// pointsMax bounds the memory of a secondary that stays behind for long. Beyond it every
// second point is forgotten and new ones come half as often, so the resolution halves.
const pointsMax = 512

type point struct {
	sequence uint64
	at       time.Time
}

// Tracker remembers points of one primary. It is not safe for concurrent use.
type Tracker struct {
	epoch  replication.Epoch
	points []point
	// spacing is the least distance of points in time; 0 until memory is short.
	spacing time.Duration
}

// Observe records that the primary was at a position at a time of its clock.
func (t *Tracker) Observe(p replication.Position, at time.Time) {
	if p.Epoch != t.epoch {
		*t = Tracker{epoch: p.Epoch}
	}
	if n := len(t.points); n > 0 && t.points[n-1].sequence >= p.Sequence {
		// Nothing was written since, so the same content is current as of a later time.
		t.points[n-1].at = at
		return
	}
	if n := len(t.points); n > 1 && at.Sub(t.points[n-2].at) < t.spacing {
		// The newest point is always kept. The one before it is kept only if it is far
		// enough from its predecessor.
		t.points[n-1] = point{p.Sequence, at}
		return
	}
	t.points = append(t.points, point{p.Sequence, at})
	if len(t.points) <= pointsMax {
		return
	}
	t.spacing = 2 * at.Sub(t.points[0].at) / pointsMax
	kept := t.points[:0]
	for i, q := range t.points {
		if i%2 == 0 || i == len(t.points)-1 {
			kept = append(kept, q)
		}
	}
	t.points = kept
}

// Age is the lag of content at a position, at a time of the primary's clock. If the content has reached no point, Age
// returns the age of the oldest point, and the lag is at least that.
func (t *Tracker) Age(applied replication.Position, now time.Time) time.Duration {
	if len(t.points) == 0 {
		return 0
	}
	reached := 0
	if applied.Epoch == t.epoch {
		for reached+1 < len(t.points) && t.points[reached+1].sequence <= applied.Sequence {
			reached++
		}
	}
	at := t.points[reached].at
	t.points = t.points[reached:]
	if len(t.points) == 1 {
		t.spacing = 0
	}
	return max(0, now.Sub(at))
}
