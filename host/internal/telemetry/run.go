// SPDX-License-Identifier: MPL-2.0

package telemetry

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Pace is the time between two rounds. Vault emits its own gauges at the same pace.
const Pace = 10 * time.Second

// Node is the node whose metrics are emitted.
type Node interface {
	// Active says whether the node leads its cluster and is unsealed.
	Active() bool
	Status(ctx context.Context, mode replication.Mode) (*endpoints.ModeStatus, error)
	Counts(mode replication.Mode) Counts
}

// Run emits the gauges at each tick until the context ends. If there is no status, its gauges are left out, so that an
// alert on their absence fires.
func Run(ctx context.Context, node Node, sink Sink, tick <-chan time.Time) {
	all := map[replication.Mode]*gauges{}
	for _, mode := range replication.Modes() {
		all[mode] = &gauges{sink: sink, mode: mode}
	}
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick:
		}
		if !node.Active() {
			continue
		}
		for mode, g := range all {
			if s, err := node.Status(ctx, mode); err == nil {
				g.emit(s, node.Counts(mode), now)
			}
		}
	}
}
