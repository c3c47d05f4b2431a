// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/consistency"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Consistency is this node's state in its performance set, for the consistency
// headers.
type Consistency struct {
	set  Set
	core *vaultcore.Core
	// wait bounds how long a request waits for a state that is not here yet.
	wait time.Duration
}

// Index implements [consistency.Node].
func (s Consistency) Index() (consistency.Index, bool) {
	if _, err := s.set.roles.active(); err != nil {
		return consistency.Index{}, false
	}
	key, _ := s.core.IndexHeaderHMACKey.Load().([]byte)
	mr := s.set.roles.Record().mode(ofClients)
	if len(key) == 0 {
		return consistency.Index{}, false
	}
	i := consistency.Index{Set: mr.SetID, Key: key}
	switch mr.Role {
	case replication.Primary:
		at, err := s.set.tap.LastWritten(ofClients)
		if err != nil {
			return consistency.Index{}, false
		}
		i.Epoch, i.Local, i.Replicated = at.Epoch, at.Sequence, at.Sequence
	case replication.Secondary:
		at := s.applied()
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
	switch s.set.roles.Role(ofClients) {
	case replication.Primary:
		p, err := s.set.tap.Position(ofClients)
		return err == nil && p.Position.Epoch == at.Epoch && p.Position.Sequence >= at.Sequence
	case replication.Secondary:
		here := s.applied()
		return here.Epoch == at.Epoch && here.Sequence >= at.Sequence
	default:
		return false
	}
}

// applied is how far this performance secondary is, nowhere while it copies.
func (s Consistency) applied() replication.Position {
	return s.set.tap.Secondary(ofClients).Applied(context.Background())
}

// Wait implements [consistency.Node].
func (s Consistency) Wait(ctx context.Context, at replication.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	var err error
	if s.set.roles.Role(ofClients) == replication.Primary {
		err = s.set.tap.WaitFinished(ctx, ofClients, at.Sequence)
	} else {
		err = s.set.tap.Secondary(ofClients).WaitApplied(ctx, at)
	}
	if err == nil && !s.Present(at) {
		err = replication.Errorf(replication.PositionLost, "a new epoch or a copy has begun")
	}
	return err
}

// Forwarded implements [consistency.Node].
func (s Consistency) Forwarded() (replication.Position, bool) {
	if at := s.set.roles.forwarded.Load(); at != nil {
		return *at, s.set.Serves()
	}
	return replication.Position{}, s.set.Serves()
}
