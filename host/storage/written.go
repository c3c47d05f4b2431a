// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// LastWritten is a position of a primary that has every write which has been
// answered, and perhaps some that are under way. It runs ahead of [Tap.Position],
// where everything is finished.
func (p *primary) LastWritten(mode replication.Mode) (replication.Position, error) {
	j, cfg, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return replication.Position{}, err
	}
	return replication.Position{Epoch: cfg.Epoch, Term: j.term, Sequence: j.seq.Allocated()}, nil
}

// WaitFinished waits until the writes of a primary are finished up to a sequence.
func (p *primary) WaitFinished(ctx context.Context, mode replication.Mode, sequence uint64) error {
	j, _, err := p.writeMode.Load().modeOf(mode)
	if err != nil {
		return err
	}
	return j.waitFor(ctx, sequence)
}
