// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// decide says how a secondary goes on. When it returns, the rows that the secondary will
// need are retained.
func (s *Server) decide(ctx context.Context, id string, c *replication.Cursor, copyWanted bool,
	now replication.Position) (linkv1.Decision, *replication.Opening, error) {
	opened, err := s.slotOpened(ctx, id)
	if err != nil {
		return 0, nil, err
	}
	decision, at := linkv1.Decision_DECISION_RESUME, c.Position
	possible := !copyWanted && !at.Epoch.IsZero() && at.Epoch == now.Epoch && at.Epoch == opened.Epoch &&
		at.Sequence >= opened.Sequence
	if c.Copying {
		// Only the rows since its copy began complete its content.
		decision, at = linkv1.Decision_DECISION_RESUME_COPY, c.CopyFrom
		possible = !copyWanted && at.Epoch == now.Epoch && at == opened
	}
	// Only the host knows whether the storage has a position of an earlier term.
	if possible && at.Term == now.Term && at.Sequence > now.Sequence {
		s.logger.Warn("a secondary is ahead of this primary: it copies", "id", id, "secondary", at.String(), "primary",
			now.String())
		possible = false
	}
	if possible {
		// The secondary has stored its content, so the slot may move on. The answer says whether there is a slot.
		switch err := s.host.AckSlot(ctx, id, at, c.Proof); {
		case err == nil:
			return decision, &replication.Opening{Position: at}, nil
		case replication.KindOf(err) != replication.NotFound && replication.KindOf(err) != replication.PositionLost:
			return 0, nil, err
		default:
			s.logger.Warn("a secondary cannot go on from where it is: it copies", "id", id, "secondary", at.String(), "reason",
				err)
		}
	}
	from, err := s.host.OpenSlot(ctx, id, c.Proof)
	if err != nil {
		return 0, nil, err
	}
	if err := s.putSlotOpened(ctx, id, from.Position); err != nil {
		return 0, nil, err
	}
	return linkv1.Decision_DECISION_COPY, from, nil
}

// The position at which a slot was opened is recorded, because a slot does not tell it. A
// copy that was cut can go on only if its slot is still the one that it began with.

const slotPrefix = "primary/slot/"

func slotKey(id string) string { return slotPrefix + base64.RawURLEncoding.EncodeToString([]byte(id)) }

func (s *Server) slotOpened(ctx context.Context, id string) (replication.Position, error) {
	data, err := s.host.GetState(ctx, slotKey(id))
	if err != nil || data == nil {
		return replication.Position{}, err
	}
	return decodeOpened(data), nil
}

// openedMax bounds the record in bytes.
const openedMax = 1 << 10

// decodeOpened reads the record. If there is none that can be used it returns the zero
// position. Then a copy is decided, which writes the record anew.
func decodeOpened(data []byte) replication.Position {
	var p replication.Position
	if len(data) > openedMax || json.Unmarshal(data, &p) != nil || p.Epoch.IsZero() {
		return replication.Position{}
	}
	return p
}

func (s *Server) putSlotOpened(ctx context.Context, id string, p replication.Position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.host.PutState(ctx, slotKey(id), data)
}

// forgetStrangers closes the slots of secondaries that are not registered. A crash may have
// cut a revocation in two.
func (s *Server) forgetStrangers(ctx context.Context) {
	wanted := map[string]bool{}
	for _, id := range s.registry.IDs() {
		wanted[id] = true
	}
	for _, prefix := range []string{slotPrefix, nodePrefix} {
		names, err := s.host.ListState(ctx, prefix)
		if err != nil {
			s.logger.Warn("could not look for records of revoked secondaries", "error", err)
			return
		}
		for _, name := range names {
			id, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(name, prefix))
			if wanted[string(id)] || err != nil {
				continue
			}
			if err := s.forget(ctx, string(id)); err != nil {
				s.logger.Warn("could not close the slot of a revoked secondary", "id", string(id), "error", err)
			}
		}
	}
}

// forget ends retention for a secondary and deletes what is recorded of it.
func (s *Server) forget(ctx context.Context, id string) error {
	if err := s.host.CloseSlot(ctx, id); err != nil {
		return err
	}
	if err := s.nodes.forget(ctx, s.host, id); err != nil {
		return err
	}
	return s.host.DeleteState(ctx, slotKey(id))
}
