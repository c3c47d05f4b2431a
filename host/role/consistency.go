// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/api/consistency"
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
	mr := s.c.Record().Performance
	if len(key) == 0 {
		return consistency.Index{}, false
	}
	i := consistency.Index{Set: mr.SetID, Key: key}
	switch mr.Role {
	case replication.Primary:
		at, err := s.c.tap.LastWritten(replication.Performance)
		if err != nil {
			return consistency.Index{}, false
		}
		i.Local, i.Replicated = at.Sequence, at.Sequence
	case replication.Secondary:
		i.Replicated = max(s.c.appliedHere(context.Background()).Sequence, s.c.forwarded.Load())
	default:
		return consistency.Index{}, false
	}
	return i, true
}

// Present implements [consistency.Node].
func (s Consistency) Present(replicated uint64) bool {
	switch s.c.Role(replication.Performance) {
	case replication.Primary:
		p, err := s.c.tap.Position(replication.Performance)
		return err == nil && p.Position.Sequence >= replicated
	case replication.Secondary:
		return s.c.appliedHere(context.Background()).Sequence >= replicated
	default:
		return false
	}
}

// appliedHere is how far this performance secondary is.
func (c *Controller) appliedHere(ctx context.Context) replication.Position {
	return c.tap.Secondary(replication.Performance).Applied(ctx)
}

// Wait implements [consistency.Node].
func (s Consistency) Wait(ctx context.Context, replicated uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if s.c.Role(replication.Performance) == replication.Primary {
		return s.c.tap.WaitFinished(ctx, replication.Performance, replicated)
	}
	at := s.c.appliedHere(context.Background())
	at.Sequence = replicated
	return s.c.tap.Secondary(replication.Performance).WaitApplied(ctx, at)
}

// Forwarded implements [consistency.Node].
func (s Consistency) Forwarded() (uint64, bool) {
	return s.c.forwarded.Load(), s.c.Serves()
}
