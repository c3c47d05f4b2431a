// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// SetCursor sets how far the cluster has applied.
func (h *Host) SetCursor(c replication.Cursor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cursor = c
}

// Cursor implements replication.Host.
func (h *Host) Cursor(context.Context) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.proven(), h.called("Cursor")
}

// BeginCopy implements replication.Host.
func (h *Host) BeginCopy(_ context.Context, from replication.Opening) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("BeginCopy"); err != nil {
		return nil, err
	}
	if !bytes.Equal(from.Proof, openingProof(from.Position, h.copyName())) {
		return nil, notProven("beginning of a copy", from.Proof)
	}
	h.copies++
	h.cursor = replication.Cursor{Position: h.cursor.Position, Copying: true, CopyFrom: from.Position}
	clear(h.missing)
	h.comparing = false
	h.untilCopied = nil
	return h.proven(), nil
}

// Refuse says which values the storage does not take; nil is that it takes all.
func (h *Host) Refuse(refuses func(key, value string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = refuses
}

// RefuseUntilCopied refuses what would be applied until a copy begins, as a host
// does to which more of its primary is replicated than before.
func (h *Host) RefuseUntilCopied(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.untilCopied = err
}

// wait stops where a test holds the host.
func (h *Host) wait(ctx context.Context) error {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ApplyRange implements replication.Host.
func (h *Host) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("ApplyRange"); err != nil {
		return nil, err
	}
	if h.untilCopied != nil {
		return nil, h.untilCopied
	}
	if !bytes.Equal(r.Proof, rangeProof(r, h.copyName())) {
		return nil, notProven("range", r.Proof)
	}
	if err := h.applyRange(r); err != nil {
		return nil, err
	}
	h.counts["ranges applied"]++
	return h.proven(), nil
}

// EndCopy implements replication.Host.
func (h *Host) EndCopy(context.Context) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("EndCopy"); err != nil {
		return nil, err
	}
	h.cursor = replication.Cursor{Position: h.cursor.CopyFrom, ConsistentFrom: h.cursor.ConsistentFrom,
		Missing: h.cursor.Missing}
	return h.proven(), nil
}

// ApplyFrame implements replication.Host.
func (h *Host) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("ApplyFrame"); err != nil {
		return nil, err
	}
	if h.untilCopied != nil {
		return nil, h.untilCopied
	}
	if h.cursor.Copying || f.To.Epoch != h.cursor.Position.Epoch || f.After > h.cursor.Position.Sequence {
		return nil, replication.Errorf(replication.PositionLost, "the frame after %d does not fit %s", f.After,
			h.cursor.Position)
	}
	if !bytes.Equal(f.Proof, proofOf("frame", f.To, f.Payload)) {
		return nil, notProven("frame", f.Proof)
	}
	var entries []entry
	if err := json.Unmarshal(f.Payload, &entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Sequence > h.cursor.Position.Sequence {
			h.apply(e)
		}
	}
	if f.To.Sequence > h.cursor.Position.Sequence {
		h.cursor.Position = f.To
	}
	return h.proven(), nil
}

// CarryOut does what a host does with a transition, except the role itself: the
// records, the epoch, and the content of a cluster that joins.
func (h *Host) CarryOut(t *replication.Transition, epoch replication.Epoch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.role = replication.RoleAtAnswer{Role: t.Role, ClusterID: t.ClusterID}
	if t.ClearState {
		h.state = map[string][]byte{}
	}
	for _, k := range t.DeleteState {
		delete(h.state, k)
	}
	for k, v := range t.PutState {
		h.state[k] = v
	}
	switch {
	case t.Handover != nil:
		h.cursor = replication.Cursor{}
	case t.Role == replication.Secondary && !h.position.Epoch.IsZero():
		// A demoted primary's data is exactly that of its own last position.
		h.cursor = replication.Cursor{Position: h.position}
		h.position = replication.Position{}
	case t.Role == replication.Primary:
		h.position = replication.Position{Epoch: epoch, Sequence: max(h.position.Sequence, h.cursor.Position.Sequence)}
		h.cursor = replication.Cursor{}
		h.rows = nil
	}
	h.wake()
}
