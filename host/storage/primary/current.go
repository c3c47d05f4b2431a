// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Config says what a primary journals.
type Config struct {
	// Modes are the modes in which the cluster is a primary; at least one.
	Modes map[replication.Mode]ModeConfig
}

// ModeConfig configures the journal for one mode.
type ModeConfig struct {
	Epoch replication.Epoch
	// IndexKey is the secret of the mode's fingerprint.
	IndexKey fingerprint.Key
}

func (c *Config) check() error {
	if len(c.Modes) == 0 {
		return replication.Errorf(replication.InvalidInput, "a journal needs at least one replication mode")
	}
	for m, mode := range c.Modes {
		if err := failure.Mode(m); err != nil {
			return err
		}
		if mode.Epoch.IsZero() {
			return replication.Errorf(replication.InvalidInput, "the journal for %s replication needs an epoch", m)
		}
	}
	return nil
}

// running is a journal and the modes that it is for. It does not change.
type running struct {
	*Journal
	modes map[replication.Mode]ModeConfig
}

// current is the running journal. It changes together with the journal of the write path.
type current struct{ now atomic.Pointer[running] }

// journalOf is the journal of a mode, and its configuration.
func (c *current) journalOf(mode replication.Mode) (*Journal, ModeConfig, error) {
	if now := c.now.Load(); now != nil {
		if cfg, ok := now.modes[mode]; ok {
			return now.Journal, cfg, nil
		}
	}
	return nil, ModeConfig{}, replication.Errorf(replication.Unavailable,
		"this node keeps no journal for %s replication: it is not the active node of a primary", mode)
}

// Ring is how full the ring of a mode's journal is; zero without one.
func (c *current) Ring(mode replication.Mode) journal.Ring {
	j, _, err := c.journalOf(mode)
	if err != nil {
		return journal.Ring{}
	}
	return j.seq.Ring()
}

// LastWritten is a position that includes every answered write, and perhaps some that are under way. It may be ahead of
// Position, up to which all writes are finished.
func (c *current) LastWritten(mode replication.Mode) (replication.Position, error) {
	j, cfg, err := c.journalOf(mode)
	if err != nil {
		return replication.Position{}, err
	}
	return replication.Position{Epoch: cfg.Epoch, Term: j.Term(), Sequence: j.seq.Allocated()}, nil
}

// WaitFinished waits until the writes of a primary are finished up to a sequence.
func (c *current) WaitFinished(ctx context.Context, mode replication.Mode, sequence uint64) error {
	j, _, err := c.journalOf(mode)
	if err != nil {
		return err
	}
	return j.waitFor(ctx, sequence)
}
