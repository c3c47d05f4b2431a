// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/consistency"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Consistency is this node's state in its performance set, for the consistency
// headers.
type Consistency struct {
	c *Controller
	// wait bounds how long a request waits for a state that is not here yet.
	wait time.Duration
}

// Consistency returns it.
func (c *Controller) Consistency(wait time.Duration) Consistency { return Consistency{c, wait} }

// Index implements [consistency.Node].
func (s Consistency) Index() (consistency.Index, bool) {
	if _, err := s.c.active(); err != nil {
		return consistency.Index{}, false
	}
	key, _ := s.c.core.IndexHeaderHMACKey.Load().([]byte)
	mr := s.c.Record().mode(ofClients)
	if len(key) == 0 {
		return consistency.Index{}, false
	}
	i := consistency.Index{Set: mr.SetID, Key: key}
	switch mr.Role {
	case replication.Primary:
		at, err := s.c.tap.LastWritten(ofClients)
		if err != nil {
			return consistency.Index{}, false
		}
		i.Epoch, i.Local, i.Replicated = at.Epoch, at.Sequence, at.Sequence
	case replication.Secondary:
		at := s.c.appliedHere(context.Background())
		if to, _ := s.Forwarded(); later(to, at) {
			at = to
		}
		i.Epoch, i.Replicated = at.Epoch, at.Sequence
	default:
		return consistency.Index{}, false
	}
	return i, true
}

// Present implements [consistency.Node].
func (s Consistency) Present(at replication.Position) bool {
	switch s.c.Role(ofClients) {
	case replication.Primary:
		p, err := s.c.tap.Position(ofClients)
		return err == nil && p.Position.Epoch == at.Epoch && p.Position.Sequence >= at.Sequence
	case replication.Secondary:
		here := s.c.appliedHere(context.Background())
		return here.Epoch == at.Epoch && here.Sequence >= at.Sequence
	default:
		return false
	}
}

// appliedHere is how far this performance secondary is.
func (c *Controller) appliedHere(ctx context.Context) replication.Position {
	return c.tap.Secondary(ofClients).Applied(ctx)
}

// Wait implements [consistency.Node].
func (s Consistency) Wait(ctx context.Context, at replication.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if s.c.Role(ofClients) != replication.Primary {
		return s.c.tap.Secondary(ofClients).WaitApplied(ctx, at)
	}
	if err := s.c.tap.WaitFinished(ctx, ofClients, at.Sequence); err != nil {
		return err
	}
	if !s.Present(at) {
		return replication.Errorf(replication.PositionLost, "a new epoch has begun")
	}
	return nil
}

// Forwarded implements [consistency.Node].
func (s Consistency) Forwarded() (replication.Position, bool) {
	if at := s.c.forwarded.Load(); at != nil {
		return *at, s.c.Serves()
	}
	return replication.Position{}, s.c.Serves()
}

// later says whether a position is of a later state than another: numbers of two epochs
// cannot be compared.
func later(a, b replication.Position) bool {
	if a.Epoch != b.Epoch {
		return a.Epoch.Generation > b.Epoch.Generation
	}
	return a.Sequence > b.Sequence
}
