// SPDX-License-Identifier: MPL-2.0

package telemetry

import (
	"context"
	"time"

	"github.com/armon/go-metrics"

	"github.com/vault-replication/vault-replication/host/internal/api/consistency"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Timer takes durations, and also counts them.
type Timer interface {
	MeasureSinceWithLabels(key []string, start time.Time, labels []metrics.Label)
}

// MeasureWaits measures how long requests wait for a state that their client needs, and whether it came in time.
func MeasureWaits(node consistency.Node, timer Timer) consistency.Node {
	return waits{Node: node, timer: timer}
}

type waits struct {
	consistency.Node
	timer Timer
}

// Wait implements [consistency.Node].
func (w waits) Wait(ctx context.Context, at replication.Position) error {
	begun, result := time.Now(), "arrived"
	err := w.Node.Wait(ctx, at)
	if err != nil {
		result = "ran_out"
	}
	w.timer.MeasureSinceWithLabels([]string{"replication", "wait"}, begun,
		[]metrics.Label{{Name: "kind", Value: "index"}, {Name: "result", Value: result}})
	return err
}
