// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// history is the model: the value of each replicated key of the primary at each sequence of
// its journal. It is learnt from what lands on the primary's disk, not from what the
// primary says.
type history struct {
	classes keyclass.Classifier
	mounts  bool // in performance mode: what is known is the content of the mounts of writers

	mu      sync.Mutex
	keys    map[string][]version
	writer  map[string]uint64 // the number of the row that was written ahead, by key
	rows    map[uint64]bool   // that have come
	joint   bool              // the primary's storage has transactions
	highest uint64            // of the rows, and of the positions of secondaries
	broken  string
	late    map[string]bool // keys that a write has changed which had failed
}

// version is what a key was from a moment on: twice the number of the row of its write, or
// one more than that for a write without a row that came after it.
type version struct {
	// earliest is the first moment at which it may have been there. It is moment, but for a write without a row: that was
	// perhaps under way already when rows that have landed before it were numbered.
	earliest, moment uint64
	value            []byte // nil: the key does not exist
}

// unknown is the moment of a write that has taken effect after it had failed. It has none
// until its key is written again.
const unknown = ^uint64(0)

// reached is the moment of a position, at which no write that came later is there.
func reached(number uint64) uint64 { return 2 * number }

func newHistory() *history {
	return &history{keys: map[string][]version{}, writer: map[string]uint64{}, rows: map[uint64]bool{},
		late: map[string]bool{}}
}

func (h *history) replicated(key string) bool {
	if h.mounts {
		return strings.HasPrefix(key, "logical/a/") || strings.HasPrefix(key, "logical/b/") ||
			strings.HasPrefix(key, "logical/c/")
	}
	return h.classes.Replicated(replication.DR, key)
}

// landed takes over what has become durable on the primary. A write has the sequence of the
// row in its transaction, or of the row that was written ahead for its key. A write without
// a row was numbered while no slot was open. It may have taken long, so its number may be lower than that of rows that
// have landed before it.
func (h *history) landed(changes []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var number uint64
	for _, c := range changes {
		if c.value == nil || !strings.HasPrefix(c.key, journal.RowPrefix) {
			continue
		}
		n, err := strconv.ParseUint(c.key[strings.LastIndexByte(c.key, '/')+1:], 16, 64)
		if err != nil {
			h.broken = "a journal row has the key " + c.key
			return
		}
		h.highest = max(h.highest, n)
		if len(changes) > 1 {
			number = n
			break
		}
		// On storage without transactions a row that comes alone is ahead of its data.
		// Otherwise, and the second time, it tells the result of a write that had failed.
		if h.joint {
			continue
		}
		ops, err := journal.DecodeRow(c.value)
		if err != nil {
			h.broken = "the journal row " + c.key + " cannot be read"
			return
		}
		settled := h.rows[n]
		h.rows[n] = true
		if !settled {
			number = n
		}
		for i := range ops {
			key := ops[i].Key
			if settled {
				// What has not landed by now does not: a later write has not its number.
				if h.writer[key] == n {
					delete(h.writer, key)
				}
				continue
			}
			// The sequences of a key are in the order of its writes. A row that comes
			// behind a later one belongs to a write that has failed.
			if n > h.writer[key] && reached(n) > h.lastOf(key) {
				h.writer[key] = n
			}
		}
	}
	for _, c := range changes {
		if !h.replicated(c.key) {
			continue
		}
		n := reached(number)
		earliest := n
		if number == 0 {
			if ahead, ok := h.writer[c.key]; ok {
				n = reached(ahead)
				earliest = n
			} else {
				n = reached(h.highest) + 1
				earliest = h.lastOf(c.key)
			}
		}
		delete(h.writer, c.key)
		h.known(c.key, n)
		old := h.keys[c.key]
		if len(old) > 0 && old[len(old)-1].moment > n {
			h.broken = fmt.Sprintf("the key %s was written by number %d after number %d", c.key, n/2, old[len(old)-1].moment/2)
		}
		h.keys[c.key] = append(old, version{earliest, n, c.value})
	}
}

// landedLate takes over what a write has done that had failed. The primary may have found out
// that it was not made, and has then to find out that it was.
func (h *history) landedLate(changes []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		if n, err := strconv.ParseUint(c.key[strings.LastIndexByte(c.key, '/')+1:], 16, 64); err == nil &&
			strings.HasPrefix(c.key, journal.RowPrefix) {
			h.highest, h.rows[n] = max(h.highest, n), true
		}
		if h.replicated(c.key) {
			h.keys[c.key] = append(h.keys[c.key], version{unknown, unknown, c.value})
			h.late[c.key] = true
		}
	}
}

// known gives a moment to the writes of a key that have none; the caller holds mu.
func (h *history) known(key string, moment uint64) {
	if !h.late[key] {
		return
	}
	v := h.keys[key]
	for i := range v {
		if v[i].moment == unknown {
			v[i].earliest, v[i].moment = moment, moment
		}
	}
}

// before takes over what the primary has before replication begins.
func (h *history) before(key string, value []byte) {
	h.keys[key] = append(h.keys[key], version{0, 0, value})
}

// lastOf is the moment of the last write of a key that has one; the caller holds mu.
func (h *history) lastOf(key string) uint64 {
	for _, v := range slices.Backward(h.keys[key]) {
		if v.moment != unknown {
			return v.moment
		}
	}
	return 0
}

// at is the value of a key at a moment; the caller holds mu.
func (h *history) at(key string, moment uint64) []byte {
	versions := h.keys[key]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].moment <= moment {
			return versions[i].value
		}
	}
	return nil
}

// perhaps says whether a key may have had a value at a moment because of a write without a row; the caller holds mu.
func (h *history) perhaps(key string, moment uint64, value []byte) bool {
	return slices.ContainsFunc(h.keys[key], func(v version) bool {
		return v.earliest <= moment && moment < v.moment && same(v.value, value)
	})
}

// since says whether a key had a value at a moment or at a later one; the caller
// holds mu.
func (h *history) since(key string, moment uint64, value []byte) bool {
	versions := h.keys[key]
	for i := len(versions) - 1; i >= 0; i-- {
		if same(versions[i].value, value) {
			return true
		}
		if versions[i].moment <= moment {
			return false
		}
	}
	return value == nil
}

// compare says where rows differ from the primary's at a sequence. With newer, a key may be
// newer: storage without transactions is not at rest.
func (h *history) compare(rows map[string][]byte, number uint64, newer bool) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.highest = max(h.highest, number)
	at := reached(number)
	ok := func(key string, value []byte) bool {
		if newer || h.late[key] {
			return h.since(key, at, value)
		}
		return same(h.at(key, at), value) || h.perhaps(key, at, value)
	}
	for key, value := range rows {
		if _, known := h.keys[key]; !known && h.replicated(key) {
			return fmt.Sprintf("%s is there with %s, and the primary never had it", key, show(value))
		}
	}
	for key := range h.keys {
		if value := rows[key]; !ok(key, value) {
			return fmt.Sprintf("%s is %s; the primary had %s at %d", key, show(value), show(h.at(key, at)), number)
		}
	}
	return ""
}

// newest is the last value of a key.
func (h *history) newest(key string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at(key, unknown)
}

// placeOf is the place of the write of a value, which is unique, among those of its key.
func (h *history) placeOf(key string, value []byte) (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, v := range h.keys[key] {
		if v.value != nil && bytes.Equal(v.value, value) {
			return i, true
		}
	}
	return 0, false
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func show(v []byte) string {
	if v == nil {
		return "not there"
	}
	if len(v) > 24 {
		v = v[:24]
	}
	return strconv.Quote(string(v))
}

// shown is a value for the log, made into text when somebody reads it.
type shown []byte

func (v shown) String() string { return show(v) }
