// SPDX-License-Identifier: MPL-2.0

package retention

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// grace is how long a secondary may be silent before the cap in age counts. A secondary has this time to come back
	// after the primary itself was away.
	grace = 10 * time.Minute
	// warnAt is the part of a cap from which a slot is in the state Warning.
	warnAt = 0.8
	// cutShiftMax bounds how often the cap is doubled. No slot loses so many copies in a row.
	cutShiftMax = 30
	// sightingMin and sightingMax bound the time between two looks at the slots.
	sightingMin, sightingMax = 100 * time.Millisecond, 5 * time.Minute
	// markMax is the longest time between two marks while rows are stored.
	markMax = time.Hour
)

// Caps bound what one slot retains; zero is no bound.
type Caps struct {
	// Bytes is the size of the rows, as they are stored.
	Bytes uint64
	// Age is the age of the oldest row.
	Age time.Duration
}

// State is the state of a slot.
type State string

// The states of a slot.
const (
	// Active retains rows.
	Active State = "active"
	// Warning retains rows and is near its cap.
	Warning State = "warning"
	// Lost retains nothing: its secondary has to compare and copy.
	Lost State = "lost"
)

// Status is what a slot retains.
type Status struct {
	// ID is the id of the secondary.
	ID    string
	State State
	// RetainedBytes is the size of the rows that the secondary has not acknowledged,
	// RetainedAge the age of the oldest.
	RetainedBytes uint64
	RetainedAge   time.Duration
	// Acknowledged is the last sequence that the secondary has acknowledged.
	Acknowledged uint64
	// Allowed are the caps of this slot now, each 0 for none.
	Allowed Caps
	// Reason says why the slot is lost, one sentence.
	Reason string
	// Heard is when the secondary was last heard of. It is kept over a restart, to a minute after one
	// that was not orderly. Zero when not known.
	Heard time.Time
}

// Slots are the slots of a mode, sorted by id.
func (r *Retention) Slots(mode replication.Mode) []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	out := make([]Status, 0, len(r.slots[mode]))
	for id, s := range r.slots[mode] {
		st := Status{ID: id, State: Lost, Reason: s.lost, Acknowledged: s.acked.Sequence}
		if s.lost == "" {
			st = r.measure(s, now)
		}
		if s.heard > 0 {
			st.Heard = time.Unix(s.heard, 0)
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// measure says what a slot retains that is not lost. If the slot is over a cap, Reason says so; its state becomes Lost
// only once that is stored. The caller holds mu.
func (r *Retention) measure(s *Slot, now time.Time) Status {
	here := journal.Mark{Sequence: r.seq.Allocated(), Bytes: r.rowBytes.Load()}
	caps := r.caps
	bytes := s.allowance(caps.Bytes)
	st := Status{ID: s.id, State: Active, Acknowledged: s.acked.Sequence, Allowed: Caps{Bytes: bytes, Age: caps.Age}}
	if s.acked.Sequence < here.Sequence {
		st.RetainedBytes = here.Bytes - min(here.Bytes, r.marks.BytesAt(s.acked.Sequence, here))
		st.RetainedAge = r.marks.AgeAfter(s.acked.Sequence, now)
	}
	switch {
	case caps.Bytes > 0 && st.RetainedBytes > bytes:
		st.Reason = fmt.Sprintf("it retained %d bytes of journal rows, more than the cap slot_max_retained allows (%d)",
			st.RetainedBytes, bytes)
	case caps.Age > 0 && st.RetainedAge > caps.Age && now.Sub(s.seen) >= min(grace, caps.Age):
		st.Reason = fmt.Sprintf("it retained journal rows for %s, longer than the cap slot_max_age allows (%s)",
			st.RetainedAge.Round(time.Second), caps.Age)
	}
	if st.Reason != "" ||
		caps.Bytes > 0 && float64(st.RetainedBytes) >= warnAt*float64(bytes) ||
		caps.Age > 0 && float64(st.RetainedAge) >= warnAt*float64(caps.Age) {
		st.State = Warning
	}
	return st
}

// allowance is the cap in bytes of one slot. It doubles with each copy in a row that the cap has cut off, so that a
// long copy does not begin again for ever.
func (s *Slot) allowance(bytes uint64) uint64 {
	if !s.fresh() {
		return bytes
	}
	shift := min(s.cut, cutShiftMax)
	if bytes > math.MaxUint64>>shift {
		return math.MaxUint64
	}
	return bytes << shift
}

// Count counts a row that is stored, or may be. due says that Look must be called.
func (r *Retention) Count(bytes int) (due bool) {
	return r.rowBytes.Add(uint64(bytes)) >= r.lookAt.Load()
}

// LookEvery is the longest time between two calls of Look.
func (c Caps) LookEvery() time.Duration {
	if age := c.Age; age > 0 {
		return min(max(age/journal.MarksMax, sightingMin), sightingMax)
	}
	return sightingMax
}

// MarkDue says that a head must be written for its mark. So the age of rows is known even if few are written.
func (r *Retention) MarkDue() bool {
	every := markMax
	if age := r.caps.Age; age > 0 {
		every = min(every, age/journal.MarksMax*2)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.marks.Last()
	return r.slots.open() > 0 && r.seq.Allocated() > last.Sequence &&
		(len(r.marks) == 0 || time.Since(time.Unix(0, last.Time)).Abs() >= every)
}

// Near is a slot near its cap. If it is over the cap, Reason says so.
type Near struct {
	*Slot
	Status
	// First says that the slot was not near its cap at the last look.
	First bool
}

// Look finds the slots that are near their caps.
func (r *Retention) Look() (near []Near) {
	if r.caps.Bytes > 0 {
		r.lookAt.Store(r.rowBytes.Load() + max(1, r.caps.Bytes/journal.MarksMax))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, slots := range r.slots {
		for _, s := range slots {
			if s.lost != "" {
				continue
			}
			st := r.measure(s, now)
			if st.State != Active {
				near = append(near, Near{Slot: s, Status: st, First: !s.warned})
			}
			s.warned = st.State != Active
		}
	}
	return near
}

// Losing is the record that says that a slot is lost; nil if the slot was closed or opened anew meanwhile.
func (r *Retention) Losing(s *Slot, why string) *journal.Slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots[s.mode][s.id] != s {
		return nil
	}
	rec := s.record()
	rec.Lost = why
	return rec
}

// Lose says that this record is stored. From now on the slot retains nothing.
func (r *Retention) Lose(s *Slot, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.lost = why
	r.idle()
}
