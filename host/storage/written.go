// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// LastWritten is a position of a primary that has every write which has been
// answered, and perhaps some that are under way. It runs ahead of [Tap.Position],
// where everything is finished.
func (t *Tap) LastWritten(mode replication.Mode) (replication.Position, error) {
	j, cfg, err := t.regime.Load().modeOf(mode)
	if err != nil {
		return replication.Position{}, err
	}
	return replication.Position{Epoch: cfg.Epoch, Term: j.term, Sequence: j.seq.Allocated()}, nil
}

// WaitFinished waits until the writes of a primary are finished up to a sequence.
func (t *Tap) WaitFinished(ctx context.Context, mode replication.Mode, sequence uint64) error {
	j, _, err := t.regime.Load().modeOf(mode)
	if err != nil {
		return err
	}
	return j.waitFor(ctx, sequence)
}

// Applied is how far a secondary is, OnApplied included: what WaitApplied does not
// wait for. Zero while that is not known.
func (t *Tap) Applied(ctx context.Context, mode replication.Mode) replication.Position {
	p := t.progress[mode]
	if p == nil {
		return replication.Position{}
	}
	p.mu.Lock()
	known, at := p.known, p.at
	p.mu.Unlock()
	if known {
		return at
	}
	if err := t.loadProgress(ctx, mode); err != nil {
		return replication.Position{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}
