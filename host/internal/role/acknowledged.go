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

// awaitAcknowledged waits until every secondary that is connected, and was heard of
// within a time, has made a sequence durable. It returns the name of one that had not when the context
// ended.
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
