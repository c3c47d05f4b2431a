// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// primary is what a primary does beside writing: it begins and ends terms of the journal,
// keeps slots, and serves frames, ranges and answers. activeJournal has the state
// of a term; the write mode has the journal.
//
// slotRecords is the turn of who writes records of slots; it is taken before
// activeJournal.mu. filters has a room, inside of which a frame, a range or an answer is
// made, and before which no lock of the journal is taken.
type primary struct {
	*writePath
	indexes indexes
	history
	filters

	ring     int
	ringRows int // 0 for no bound
	numbers  uint64
	frames   int // bytes of a frame
	ranges   int // bytes of a range

	caps        SlotCaps
	slotRecords lock.Turns
	asking      *asking

	lateEvery time.Duration
	lateLooks atomic.Uint64

	reads    *walk.Walks    // walks of ReadRange
	listings *walk.Listings // of the comparisons of secondaries
}

func newPrimary(w *writePath, x indexes, o Options) *primary {
	return &primary{
		writePath: w, indexes: x, history: history{writePath: w},
		filters: filters{classes: w.below.Classes(), made: lock.NewRoom()},
		ring:    orDefault(o.RingBytes, DefaultRingBytes), ringRows: o.RingRows,
		frames: orDefault(o.FrameBytes, replication.PayloadTarget), ranges: orDefault(o.RangeBytes, rangeTarget),
		numbers: uint64(orDefault(o.Numbers, DefaultNumbers)), caps: o.Caps, slotRecords: make(lock.Turns, 1),
		asking:    newAsking(),
		lateEvery: orDefault(o.LateEvery, DefaultLateEvery), reads: walk.NewWalks(), listings: walk.NewListings(),
	}
}

// indexes is what a primary asks of the indexes: they run while its journal does.
type indexes interface {
	Start(ctx context.Context, mode replication.Mode, key fingerprint.Key) error
	Stop(ctx context.Context, mode replication.Mode, mayWrite bool) error
	Forget(ctx context.Context, mode replication.Mode) error
	SettleClasses()
}

// forgetListed forgets what directories had.
func (p *primary) forgetListed() {
	p.reads.Close()
	p.listings.Close()
}
