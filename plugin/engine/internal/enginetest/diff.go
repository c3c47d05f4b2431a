// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// The comparison of the fake hosts is one by one: a question is the last key that was
// compared, an answer the pairs after it, and what is equal already is not counted.

// AnswerDiff implements replication.Host.
func (h *Host) AnswerDiff(_ context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("AnswerDiff"); err != nil {
		return nil, err
	}
	if req.Question[0] == '?' {
		return h.answerMissing(req.Question[1:])
	}
	r, err := h.readRange(replication.ReadRangeRequest{SlotID: req.SlotID, After: string(req.Question[1:])})
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// Diff implements replication.Host.
func (h *Host) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	if answer != nil {
		if err := h.wait(ctx); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("Diff"); err != nil {
		return nil, err
	}
	switch {
	case h.untilCopied != nil:
		return nil, h.untilCopied
	case !h.cursor.Copying:
		return h.fetchMissing(answer)
	}
	if answer == nil {
		h.comparing = h.comparing || (!h.cursor.Position.Epoch.IsZero() && h.cursor.CopiedUpTo == "")
		step := h.step()
		step.Copy = !h.comparing
		return step, nil
	}
	var r replication.Range
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, err
	}
	if err := h.applyRange(&r); err != nil {
		return nil, err
	}
	h.counts["answers applied"]++
	step := h.step()
	step.Done = r.Last
	h.comparing = !r.Last
	return step, nil
}

func (h *Host) step() *replication.DiffStep {
	c := h.proven()
	return &replication.DiffStep{Question: append([]byte{'>'}, c.CopiedUpTo...), Differing: c.CopiedKeys + 1,
		Synced: c.CopiedKeys, Cursor: c}
}

// fetchMissing asks for what the storage has refused, once a call.
func (h *Host) fetchMissing(answer []byte) (*replication.DiffStep, error) {
	if answer != nil {
		var entries []entry
		if err := json.Unmarshal(answer, &entries); err != nil {
			return nil, err
		}
		for _, e := range entries {
			h.apply(e)
		}
		h.counts["missing fetched"]++
	}
	step := &replication.DiffStep{Cursor: h.proven(), Done: answer != nil || len(h.missing) == 0}
	if !step.Done {
		keys, err := json.Marshal(slices.Sorted(maps.Keys(h.missing)))
		if err != nil {
			return nil, err
		}
		step.Question = append([]byte{'?'}, keys...)
	}
	return step, nil
}

// answerMissing needs mu.
func (h *Host) answerMissing(question []byte) ([]byte, error) {
	var keys []string
	if err := json.Unmarshal(question, &keys); err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(keys))
	for _, k := range keys {
		v, ok := h.content[k]
		entries = append(entries, entry{Key: k, Value: v, Delete: !ok})
	}
	return json.Marshal(entries)
}

// applyRange makes the keys of a range those of its payload.
func (h *Host) applyRange(r *replication.Range) error {
	if !h.cursor.Copying || r.After != h.cursor.CopiedUpTo {
		return replication.Errorf(replication.InvalidInput, "the range after %q does not go on after %q", r.After,
			h.cursor.CopiedUpTo)
	}
	var entries []entry
	if err := json.Unmarshal(r.Payload, &entries); err != nil {
		return err
	}
	for k := range h.content {
		in := k > r.After && (r.Last || k <= r.UpTo)
		if in && !slices.ContainsFunc(entries, func(e entry) bool { return e.Key == k }) {
			delete(h.content, k)
			h.cursor.CopiedKeys++
		}
	}
	for _, e := range entries {
		if h.comparing && h.content[e.Key] == e.Value {
			continue
		}
		h.apply(e)
		h.cursor.CopiedKeys++
	}
	h.cursor.CopiedUpTo = r.UpTo
	h.cursor.ConsistentFrom = max(h.cursor.ConsistentFrom, r.AsOf)
	return nil
}

// Verify implements replication.Host. It finds nothing; see RefuseUntilCopied.
func (h *Host) Verify(_ context.Context, at replication.Position, print replication.Fingerprint,
	primary replication.Proof) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("Verify"); err != nil {
		return err
	}
	if !bytes.Equal(primary, proofOf("fingerprint", at, print)) {
		return notProven("fingerprint", primary)
	}
	return h.untilCopied
}
