// SPDX-License-Identifier: MPL-2.0

package retention

import (
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ackEvery is how many rows an acknowledgement may be ahead of its record. If a crash loses an acknowledgement, rows
// are kept a little longer.
const ackEvery = 1024

// heardEvery is how many seconds after its last record a slot gets a new one because its secondary was heard of.
// Heartbeats come each second, and none of them alone is worth a write.
const heardEvery = 60

// Slot retains the rows that a secondary has not acknowledged. Only Retention reads its fields.
type Slot struct {
	mode  replication.Mode
	id    string
	acked replication.Position
	// stored is the sequence of the record; rows up to it may be deleted.
	stored uint64
	// opened is the sequence at which retention began.
	opened uint64
	// recorded says that the record of the slot may have been written.
	recorded bool
	// lost says why nothing is retained any more, empty while the slot holds.
	lost string
	// cut counts the copies in a row that the cap has cut off.
	cut int
	// seen is the time of the last sign of the secondary, or when this primary has begun to listen.
	seen time.Time
	// heard is when the secondary was last heard of, in seconds since 1970, written what the record
	// says of it.
	heard, written int64
	// warned says that the log has said that the cap is near.
	warned bool
}

// record is the stored form.
func (s *Slot) record() *journal.Slot {
	return &journal.Slot{ID: s.id, Acked: s.acked, Opened: s.opened, Lost: s.lost, Cut: s.cut, Heard: s.heard}
}

// hear notes that the secondary is there.
func (s *Slot) hear() {
	s.seen = time.Now()
	s.heard = s.seen.Unix()
}

// fresh says that nothing was acknowledged since the slot was opened, so its secondary copies.
func (s *Slot) fresh() bool { return s.acked.Sequence == s.opened }

// slots are all slots, by mode and id.
type slots map[replication.Mode]map[string]*Slot

// open counts the slots that retain rows.
func (of slots) open() (n int) {
	for _, all := range of {
		for _, s := range all {
			if s.lost == "" {
				n++
			}
		}
	}
	return n
}

// holding is a slot that retains rows.
func (of slots) holding(mode replication.Mode, id string) (*Slot, error) {
	s := of[mode][id]
	switch {
	case s == nil:
		return nil, replication.Errorf(replication.NotFound,
			"there is no slot %q: the secondary has to be registered again or to copy", id)
	case s.lost != "":
		return nil, replication.Errorf(replication.PositionLost, "the primary has given up the slot of the secondary %q, "+
			"because %s: the secondary has to compare and copy", id, s.lost)
	}
	return s, nil
}

// acknowledged is the number up to which the acknowledgements of all slots are stored, at most the given one.
func (of slots) acknowledged(most uint64) uint64 {
	for _, all := range of {
		for _, s := range all {
			if s.lost == "" {
				most = min(most, s.stored)
			}
		}
	}
	return most
}

// Behind is the number up to which all slots of a mode that hold have acknowledged, at most the given one. All rows of
// the mode after it are stored.
func (r *Retention) Behind(mode replication.Mode, most uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots[mode] {
		if s.lost == "" {
			most = min(most, s.acked.Sequence)
		}
	}
	return max(most, r.rowsFrom, r.lacking[mode])
}

// Load takes the slots of a mode from their records. A slot of a former epoch retains nothing, and its secondary gets
// PositionLost.
func (r *Retention) Load(mode replication.Mode, epoch replication.Epoch, records []*journal.Slot) {
	loaded := map[string]*Slot{}
	for _, rec := range records {
		if rec.Acked.Epoch == epoch {
			// All count as seen, because this primary may have been away itself.
			loaded[rec.ID] = &Slot{mode: mode, id: rec.ID, acked: rec.Acked, stored: rec.Acked.Sequence,
				opened: rec.Opened, lost: rec.Lost, cut: rec.Cut, seen: time.Now(),
				heard: rec.Heard, written: rec.Heard}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range r.slots[mode] {
		if s.acked.Epoch == epoch {
			loaded[id] = s // the slot in memory is newer than its record
		}
	}
	r.slots[mode] = loaded
	if r.slots.open() > 0 {
		r.seq.SetRetain(true)
	} else {
		r.idle() // all were of a former epoch
	}
}

// Trust sets, for a new term, the number from which rows are complete. The head may be older than the last moment
// without an open slot, but the records of the slots are not.
func (r *Retention) Trust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rowsFrom = max(r.rowsFrom, r.slots.acknowledged(r.seq.Watermark()))
}

// Open makes a slot, and all later writes store rows. It returns the slot, and the last number that may have been given
// out without a row.
func (r *Retention) Open(mode replication.Mode, id string, epoch replication.Epoch) (uint64, *Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := r.slots.open() == 0
	h := r.seq.SetRetain(true)
	if idle {
		if r.deleted >= r.lastRow {
			r.deleted = h // there are no rows in between
		}
		r.rowsFrom = h
		r.mark() // former numbers have no rows
	}
	if r.slots[mode] == nil {
		r.slots[mode] = map[string]*Slot{}
	}
	at := replication.Position{Epoch: epoch, Term: r.seq.Term(), Sequence: h}
	s := &Slot{mode: mode, id: id, acked: at, stored: h, opened: h}
	s.hear()
	s.written = s.heard // as its first record says
	if old := r.slots[mode][id]; old != nil && old.fresh() {
		if s.cut = old.cut; old.lost != "" {
			s.cut++
		}
	}
	r.slots[mode][id] = s
	return h, s
}

// Recording is the record of a slot that retains from a position. From now on the record counts as written.
func (r *Retention) Recording(s *Slot, at replication.Position) *journal.Slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.recorded = true
	return &journal.Slot{ID: s.id, Acked: at, Opened: at.Sequence, Cut: s.cut, Heard: s.heard}
}

// Opened says that the record is stored, and from which position the slot retains. It is false if the slot was closed
// meanwhile.
func (r *Retention) Opened(mode replication.Mode, id string, at replication.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[mode][id]
	if s == nil {
		return false
	}
	s.acked, s.stored, s.opened, s.lost = at, at.Sequence, at.Sequence, ""
	s.hear()
	return true
}

// Unopened removes a slot that could not be opened. If its record may have been written, it returns true instead, and
// the slot goes on to retain rows until it is closed.
func (r *Retention) Unopened(s *Slot) (recorded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.recorded && r.slots[s.mode][s.id] == s {
		delete(r.slots[s.mode], s.id)
		r.idle()
	}
	return s.recorded
}

// Known says whether there is a slot, which may be lost.
func (r *Retention) Known(mode replication.Mode, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots[mode][id] != nil
}

// Holds is an error unless a slot retains rows.
func (r *Retention) Holds(mode replication.Mode, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.slots.holding(mode, id)
	return err
}

// Ack says that a secondary has acknowledged a position. due says that the record of its slot must be written.
func (r *Retention) Ack(mode replication.Mode, id string, at replication.Position) (due bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.slots.holding(mode, id)
	if err != nil {
		return false, err
	}
	s.hear()
	if at.Sequence > s.acked.Sequence {
		s.acked, s.cut = at, 0
	}
	return s.acked.Sequence-s.stored >= ackEvery, nil
}

// Seen says that the secondary of a slot is there. Due says that the record of its slot is to be
// written.
func (r *Retention) Seen(mode replication.Mode, id string) (due bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.slots.holding(mode, id)
	if err != nil {
		return false, err
	}
	s.hear()
	return s.heard-s.written >= heardEvery, nil
}

// Ahead are the slots whose acknowledgements are ahead of their records, or whose secondaries were heard of for some
// time since, at the end those that were heard of at all. It returns the new records too. From now on these count as
// written.
func (r *Retention) Ahead(end bool) (slots []*Slot, records []*journal.Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.slots {
		for _, s := range of {
			silent := s.heard-s.written < heardEvery
			if end {
				silent = s.heard == s.written
			}
			if s.lost == "" && (s.acked.Sequence > s.stored || !silent) {
				s.recorded = true
				slots, records = append(slots, s), append(records, s.record())
			}
		}
	}
	return slots, records
}

// Recorded says that the record of a slot is stored. It is false if the slot was closed meanwhile.
func (r *Retention) Recorded(of *Slot, rec *journal.Slot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[of.mode][of.id]
	if s != nil && s.stored < rec.Acked.Sequence {
		s.stored = rec.Acked.Sequence
	}
	if s != nil {
		s.written = rec.Heard
	}
	return s != nil
}

// Mode is the mode of a slot.
func (s *Slot) Mode() replication.Mode { return s.mode }

// Close removes a slot. After the last one is closed, no rows are stored, and the stored ones can be deleted.
func (r *Retention) Close(mode replication.Mode, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.slots[mode], id)
	r.idle()
}

// EndMode removes the slots of a mode.
func (r *Retention) EndMode(mode replication.Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.slots, mode)
	delete(r.lacking, mode)
	r.idle()
}

// Retains says whether any slot retains rows.
func (r *Retention) Retains() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots.open() > 0
}

// idle stops storing rows when no slot retains any. The caller holds mu.
func (r *Retention) idle() {
	if r.slots.open() == 0 {
		r.lastRow = max(r.lastRow, r.seq.SetRetain(false))
	}
}
