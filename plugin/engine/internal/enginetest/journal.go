// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Write writes one key on a primary.
func (h *Host) Write(key, value string) {
	h.write(entry{Key: key, Value: value})
}

// Delete deletes one key on a primary.
func (h *Host) Delete(key string) { h.write(entry{Key: key, Delete: true}) }

func (h *Host) write(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position.Sequence++
	e.Sequence = h.position.Sequence
	h.rows = append(h.rows, e)
	h.apply(e)
	h.wake()
}

func (h *Host) apply(e entry) {
	refused := !e.Delete && h.refuses != nil && h.refuses(e.Key, e.Value)
	delete(h.missing, e.Key)
	if refused {
		h.missing[e.Key] = true
	}
	h.cursor.Missing = uint64(len(h.missing))
	if refused {
		return
	}
	if e.Delete {
		delete(h.content, e.Key)
		return
	}
	h.content[e.Key] = e.Value
}

// wake needs mu.
func (h *Host) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Now is the position of the journal.
func (h *Host) Now() replication.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// SetEpoch begins another history, as a promotion or restore does.
func (h *Host) SetEpoch(e replication.Epoch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position.Epoch = e
	h.rows = nil
	h.slots = map[string]replication.Position{}
	h.wake()
}

// Forget drops all rows so far, as retention past its cap does; slots stay.
func (h *Host) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows = nil
	h.wake()
}

// LoseSlot gives up a slot, as its cap does.
func (h *Host) LoseSlot(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost[id] = true
	h.wake()
}

func lost(id string) error {
	return replication.Errorf(replication.PositionLost, "the slot %q was given up", id)
}

// Slots are the ids of slots with what they have acknowledged.
func (h *Host) Slots() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]uint64{}
	for id, p := range h.slots {
		out[id] = p.Sequence
	}
	return out
}

// Position implements replication.Host.
func (h *Host) Position(_ context.Context, _ string) (*replication.JournalPosition, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("Position"); err != nil {
		return nil, err
	}
	print := replication.Fingerprint("content")
	return &replication.JournalPosition{
		Position: h.position, Fingerprint: print, Proof: proofOf("fingerprint", h.position, print),
		Keys: h.keys(),
	}, nil
}

// keys needs mu.
func (h *Host) keys() uint64 {
	if h.countless {
		return 0
	}
	return uint64(len(h.content))
}

// Uncount lets the host not know how many keys it has. If it is silent it does not tell how many
// are left after a range, as a release before does not.
func (h *Host) Uncount(countless, silent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.countless, h.silent = countless, silent
}

// OpenSlot implements replication.Host.
func (h *Host) OpenSlot(_ context.Context, id string, secondary replication.Proof) (*replication.Opening, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("OpenSlot"); err != nil {
		return nil, err
	}
	h.slots[id] = h.position
	delete(h.lost, id)
	return &replication.Opening{Position: h.position, Proof: openingProof(h.position, copyOf(secondary))}, nil
}

// AckSlot implements replication.Host.
func (h *Host) AckSlot(_ context.Context, id string, at replication.Position, secondary replication.Proof) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("AckSlot"); err != nil {
		return err
	}
	if at != (replication.Position{}) && !strings.HasPrefix(string(secondary), "cursor at ") {
		return notProven("cursor", secondary)
	}
	p, ok := h.slots[id]
	if !ok {
		return replication.Errorf(replication.NotFound, "no slot %q", id)
	}
	if h.lost[id] {
		return lost(id)
	}
	if at.Epoch == p.Epoch && at.Sequence > p.Sequence {
		h.slots[id] = at
	}
	return nil
}

// CloseSlot implements replication.Host.
func (h *Host) CloseSlot(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("CloseSlot"); err != nil {
		return err
	}
	delete(h.slots, id)
	return nil
}

// ReadJournal implements replication.Host.
func (h *Host) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("ReadJournal"); err != nil {
		return nil, err
	}
	if err := h.cursorProven(req.Proof, req.After); err != nil {
		return nil, err
	}
	return &reader{ctx: ctx, host: h, slot: req.SlotID, after: req.After}, nil
}

type reader struct {
	ctx   context.Context
	host  *Host
	slot  string
	after replication.Position
}

func (r *reader) Close() error { return nil }

// Next yields all rows there are up to the target size.
func (r *reader) Next() (*replication.Frame, error) {
	for {
		f, changed, err := r.try()
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		}
	}
}

func (r *reader) try() (*replication.Frame, chan struct{}, error) {
	h := r.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("Next"); err != nil {
		return nil, nil, err
	}
	slot, ok := h.slots[r.slot]
	switch {
	case h.lost[r.slot]:
		return nil, nil, lost(r.slot)
	case !ok, slot.Epoch != r.after.Epoch, r.after.Sequence < slot.Sequence,
		r.after.Sequence < h.position.Sequence-uint64(len(h.rows)):
		return nil, nil, replication.Errorf(replication.PositionLost, "the rows after %s are gone", r.after)
	case r.after.Sequence == h.position.Sequence:
		return nil, h.changed, nil
	}
	from := int(r.after.Sequence - (h.position.Sequence - uint64(len(h.rows))))
	size, to := 0, from
	for to < len(h.rows) && size < replication.PayloadTarget {
		size += len(h.rows[to].Value)
		to++
	}
	payload, err := json.Marshal(h.rows[from:to])
	if err != nil {
		return nil, nil, err
	}
	f := &replication.Frame{After: r.after.Sequence, To: h.position, Payload: payload}
	f.To.Sequence = h.rows[to-1].Sequence
	f.Proof = proofOf("frame", f.To, payload)
	r.after = f.To
	h.counts["frames read"]++
	h.counts["bytes read"] += len(payload)
	return f, nil, nil
}

// ReadRange implements replication.Host.
func (h *Host) ReadRange(_ context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("ReadRange"); err != nil {
		return nil, err
	}
	r, err := h.readRange(req)
	if err == nil {
		r.Proof = rangeProof(r, copyOf(req.Proof))
	}
	return r, err
}

// readRange needs mu.
func (h *Host) readRange(req replication.ReadRangeRequest) (*replication.Range, error) {
	if _, ok := h.slots[req.SlotID]; !ok {
		return nil, replication.Errorf(replication.InvalidInput, "there is no secondary with the slot %q to read for",
			req.SlotID)
	}
	var keys []string
	for k := range h.content {
		if k > req.After {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	r := &replication.Range{After: req.After, AsOf: h.position.Sequence, Last: len(keys) <= h.rangeKeys}
	if !r.Last {
		if !h.silent {
			r.Left = uint64(len(keys) - h.rangeKeys)
		}
		keys = keys[:h.rangeKeys]
		r.UpTo = keys[len(keys)-1]
	}
	entries := []entry{}
	for _, k := range keys {
		entries = append(entries, entry{Key: k, Value: h.content[k]})
	}
	r.Keys = uint64(len(keys))
	var err error
	r.Payload, err = json.Marshal(entries)
	return r, err
}

// SealHandover implements replication.Host.
func (h *Host) SealHandover(_ context.Context, req replication.SealHandoverRequest) (*replication.Handover, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("SealHandover"); err != nil {
		return nil, err
	}
	return &replication.Handover{Sealed: fmt.Appendf(nil, "sealed for %s by %s", req.SecondaryID, req.Challenge)}, nil
}
