// SPDX-License-Identifier: MPL-2.0

package telemetry

import (
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Emitter is what Run has of each mode, for tests that choose the time.
func Emitter(sink Sink, mode replication.Mode) func(*endpoints.ModeStatus, Counts, time.Time) {
	return (&gauges{sink: sink, mode: mode}).emit
}
