// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// acknowledgedPoll is how often a plugin is asked what was acknowledged.
const acknowledgedPoll = 20 * time.Millisecond

// awaitAcknowledged waits until every connected secondary that was heard of within a time has stored a sequence. If the
// context ends before, it returns the name of one that has not.
func awaitAcknowledged(ctx context.Context, b replication.Backend, sequence uint64, heard time.Duration) string {
	for {
		status, err := b.Status(ctx)
		behind := "unknown"
		if err == nil {
			behind = laggard(status, sequence, heard)
		}
		if behind == "" {
			return ""
		}
		if pause.For(ctx, acknowledgedPoll) != nil {
			return behind
		}
	}
}

// laggard is a connected secondary that was heard of within a time and has not acknowledged a sequence.
func laggard(status *replication.Status, sequence uint64, heard time.Duration) string {
	for _, p := range status.Secondaries {
		silent := !p.LastHeartbeat.IsZero() && time.Since(p.LastHeartbeat) > heard
		if p.Connected && p.Acknowledged < sequence && !silent {
			return p.NodeID
		}
	}
	return ""
}
