// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// taintWait bounds how long a mount that is taken away waits for the performance
// secondaries to revoke their leases of it.
const taintWait = 15 * time.Second

// taintSilence is how long a secondary may be silent and still be waited for. It sends a
// heartbeat each second, and Vault holds the lock of the table meanwhile, so that one
// that hangs would stop all that has to do with mounts here.
const taintSilence = 3 * time.Second

// TableStored holds a mount that was just tainted until every performance secondary
// that is connected has taken that up: it revokes its leases of the mount before it
// acknowledges, and the engine and its configuration have to be there for that. A
// secondary that is slow holds it up for a bounded time, one that is silent for less.
func (c observer) TableStored(ctx context.Context, key string) {
	if !c.mounts.TakeTainted(key) || c.Role(ofClients) != replication.Primary {
		return
	}
	b := c.plugins.Running(ofClients)
	at, err := c.tap.LastWritten(ofClients)
	if b == nil || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, taintWait)
	defer cancel()
	if behind := awaitAcknowledged(ctx, b, at.Sequence, taintSilence); behind != "" {
		c.logger.Warn("a mount is taken away before a performance secondary has revoked its leases of it", "secondary",
			behind, "table", key)
	}
}

// awaitAcknowledged waits until every secondary that is connected, and was heard of
// within a time, has made a sequence durable. It returns the name of one that had not when the context
// ended.
func awaitAcknowledged(ctx context.Context, b replication.Backend, sequence uint64, heard time.Duration) string {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		status, err := b.Status(ctx)
		behind := "unknown"
		if err == nil {
			behind = laggard(status, sequence, heard)
		}
		if behind == "" {
			return ""
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return behind
		}
	}
}
