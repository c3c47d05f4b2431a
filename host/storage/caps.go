// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// slotGrace is how long a slot's secondary may be silent before its rows can be
	// too old. It is what a secondary gets to come back after the primary was away
	// itself.
	slotGrace = 10 * time.Minute
	// warnAt is the part of a cap from which a slot is shown as in danger.
	warnAt = 0.8
	// cutShiftMax bounds the doubling of the cap; that many copies never fail.
	cutShiftMax = 30
	// sightingMin and sightingMax bound the time between two looks at the slots.
	sightingMin, sightingMax = 100 * time.Millisecond, 5 * time.Minute
	// markMax is the longest time between two marks while rows are stored.
	markMax = time.Hour
)

// SlotCaps bound what one slot retains; zero is no bound.
type SlotCaps struct {
	// Bytes is of rows, as they are stored.
	Bytes uint64
	// Age is of the oldest row.
	Age time.Duration
}

// SlotState says how it is with a slot.
type SlotState string

// The states of a slot.
const (
	// SlotActive retains rows.
	SlotActive SlotState = "active"
	// SlotWarning retains rows and is near its cap.
	SlotWarning SlotState = "warning"
	// SlotLost retains nothing: its secondary has to compare and copy.
	SlotLost SlotState = "lost"
)

// SlotStatus is what a slot retains.
type SlotStatus struct {
	// ID is that of the secondary.
	ID    string
	State SlotState
	// RetainedBytes is the size of the rows that the secondary has not acknowledged,
	// RetainedAge the age of the oldest.
	RetainedBytes uint64
	RetainedAge   time.Duration
	// Reason says why the slot is lost, one sentence.
	Reason string
}

// Slots are the slots of a mode on the active node of a primary, sorted by id; none
// elsewhere.
func (p *primary) Slots(mode replication.Mode) []SlotStatus {
	j, _, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	out := make([]SlotStatus, 0, len(j.slots[mode]))
	for id, s := range j.slots[mode] {
		st := SlotStatus{ID: id, State: SlotLost, Reason: s.lost}
		if s.lost == "" {
			st = j.measure(id, s, now)
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b SlotStatus) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// measure says what a slot that is not lost retains. When it is over a cap, the
// reason says so; the state is not lost before that is durable. The caller holds
// j.mu.
func (r *retention) measure(id string, s *slot, now time.Time) SlotStatus {
	here := journal.Mark{Sequence: r.seq.Allocated(), Bytes: r.rowBytes.Load()}
	st := SlotStatus{ID: id, State: SlotActive}
	if s.acked.Sequence < here.Sequence {
		st.RetainedBytes = here.Bytes - min(here.Bytes, r.marks.BytesAt(s.acked.Sequence, here))
		st.RetainedAge = r.marks.AgeAfter(s.acked.Sequence, now)
	}
	caps := r.caps
	bytes := s.allowance(caps.Bytes)
	switch {
	case caps.Bytes > 0 && st.RetainedBytes > bytes:
		st.Reason = fmt.Sprintf("it retained %d bytes of journal rows, more than the cap slot_max_retained allows (%d)",
			st.RetainedBytes, bytes)
	case caps.Age > 0 && st.RetainedAge > caps.Age && now.Sub(s.seen) >= min(slotGrace, caps.Age):
		st.Reason = fmt.Sprintf("it retained journal rows for %s, longer than the cap slot_max_age allows (%s)",
			st.RetainedAge.Round(time.Second), caps.Age)
	}
	if st.Reason != "" ||
		caps.Bytes > 0 && float64(st.RetainedBytes) >= warnAt*float64(bytes) ||
		caps.Age > 0 && float64(st.RetainedAge) >= warnAt*float64(caps.Age) {
		st.State = SlotWarning
	}
	return st
}

// fresh says that nothing was acknowledged since the slot was opened: its secondary
// copies.
func (s *slot) fresh() bool { return s.acked.Sequence == s.opened }

// allowance is the cap in bytes of one slot. It is doubled for each copy that it has
// cut off, so that a copy that takes long does not begin anew for ever.
func (s *slot) allowance(bytes uint64) uint64 {
	if !s.fresh() {
		return bytes
	}
	shift := min(s.cut, cutShiftMax)
	if bytes > math.MaxUint64>>shift {
		return math.MaxUint64
	}
	return bytes << shift
}

// stored counts a row.
func (r *retention) stored(bytes int) {
	if r.rowBytes.Add(uint64(bytes)) >= r.lookAt.Load() {
		r.wake()
	}
}

// look is how long the housekeeping may wait until it looks at the slots again.
func (r *retention) look() time.Duration {
	if age := r.caps.Age; age > 0 {
		return min(max(age/journal.MarksMax, sightingMin), sightingMax)
	}
	return sightingMax
}

// markTime writes a mark from time to time, so that the age of rows is known also
// when few are written.
func (j *activeJournal) markTime(ctx context.Context) error {
	every := markMax
	if age := j.caps.Age; age > 0 {
		every = min(every, age/journal.MarksMax*2)
	}
	j.mu.Lock()
	last := j.marks.Last()
	due := j.openSlots() > 0 && j.seq.Allocated() > last.Sequence &&
		(len(j.marks) == 0 || time.Since(time.Unix(0, last.Time)).Abs() >= every)
	j.mu.Unlock()
	if !due {
		return nil
	}
	return j.writeHead(ctx, j.seq.Limit(), false)
}

// mark notes how far the journal is. The caller holds j.mu.
func (r *retention) mark() {
	// The bytes first: a row that comes between is then counted as retained.
	bytes := r.rowBytes.Load()
	r.marks = r.marks.Add(journal.Mark{Sequence: r.seq.Allocated(), Bytes: bytes, Time: time.Now().UnixNano()})
}

// checkCaps gives up the slots that are over their caps: durably first, then in
// memory, and only then are rows deleted. Each is warned of once before.
func (j *activeJournal) checkCaps(ctx context.Context) error {
	if caps := j.caps; caps.Bytes > 0 {
		j.lookAt.Store(j.rowBytes.Load() + max(1, caps.Bytes/journal.MarksMax))
	}
	type over struct {
		mode replication.Mode
		id   string
		s    *slot
		why  string
	}
	var lost []over
	j.mu.Lock()
	now := time.Now()
	for mode, slots := range j.slots {
		for id, s := range slots {
			if s.lost != "" {
				continue
			}
			st := j.measure(id, s, now)
			if st.State == SlotActive {
				s.warned = false
			} else if !s.warned {
				s.warned = true
				j.of.below.Logger.Warn("a secondary is near the cap of what is retained for it; past the cap it has to compare "+
					"and copy",
					"mode", mode, "id", id, "retained_bytes", st.RetainedBytes, "retained_age",
					st.RetainedAge.Round(time.Second).String())
			}
			if st.Reason != "" {
				lost = append(lost, over{mode, id, s, st.Reason})
			}
		}
	}
	j.mu.Unlock()
	for _, o := range lost {
		if err := j.lose(ctx, o.mode, o.id, o.s, o.why); err != nil {
			return err
		}
	}
	return nil
}

// lose ends retention for a slot, unless it was closed or opened anew meanwhile.
func (j *activeJournal) lose(ctx context.Context, mode replication.Mode, id string, s *slot, why string) error {
	done, err := j.of.slotRecords.Take(ctx)
	if err != nil {
		return err
	}
	defer done()
	j.mu.Lock()
	same := j.slots[mode][id] == s
	rec := s.record(id)
	j.mu.Unlock()
	if !same {
		return nil
	}
	rec.Lost = why
	if err := j.of.writeSlot(ctx, mode, rec); err != nil {
		return err
	}
	j.mu.Lock()
	s.lost = why
	j.idle()
	j.mu.Unlock()
	j.of.below.Logger.Error("nothing is retained for a secondary any more, so it has to compare and copy when it comes",
		"mode", mode, "id", id, "reason", why)
	return nil
}

// idle stops storing rows when no slot retains any; those that there are will be
// deleted. The caller holds j.mu.
func (r *retention) idle() {
	if r.openSlots() == 0 {
		if h := r.seq.SetRetain(false); h > r.lastRow {
			r.lastRow = h
		}
	}
}

// holds is an error unless a slot retains rows. The caller holds j.mu.
func (r *retention) holds(mode replication.Mode, id string) error {
	s := r.slots[mode][id]
	if s == nil {
		return noSlot(id)
	}
	if s.lost != "" {
		return lostSlot(id, s.lost)
	}
	return nil
}

func lostSlot(id, why string) error {
	return replication.Errorf(replication.PositionLost,
		"the primary has given up the slot of the secondary %q, because %s: the secondary has to compare and copy", id, why)
}
