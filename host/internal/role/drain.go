// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// drainTimeout bounds how long a demotion waits for its secondaries.
	drainTimeout = 10 * time.Second
	// drainPoll is how often it looks.
	drainPoll = 20 * time.Millisecond
)

// drain ends writing on a primary that is demoted and waits until every secondary
// that is connected has made the last write durable: whoever is promoted next has
// all of it. One that does not acknowledge in time holds nothing up; the demoted
// cluster keeps what it has not sent, and says so.
func (c *changes) drain(ctx context.Context, mode replication.Mode) error {
	if err := c.tap.SetGuard(ctx, storage.Guard{Level: storage.Frozen}); err != nil {
		return err
	}
	at, err := c.tap.Position(mode)
	if err != nil {
		return err
	}
	b := c.plugins.Running(mode)
	if b == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if behind := awaitAcknowledged(ctx, b, at.Position.Sequence, drainTimeout); behind != "" {
		c.logger.Warn("a secondary has not acknowledged all writes of the cluster that is demoted", "mode", mode, "secondary",
			behind, "sequence", at.Position.Sequence)
	}
	return nil
}

// laggard is a connected secondary that has not acknowledged a sequence, and was heard
// of within a time.
func laggard(status *replication.Status, sequence uint64, heard time.Duration) string {
	for _, p := range status.Secondaries {
		silent := !p.LastHeartbeat.IsZero() && time.Since(p.LastHeartbeat) > heard
		if p.Connected && p.Acknowledged < sequence && !silent {
			return p.NodeID
		}
	}
	return ""
}
