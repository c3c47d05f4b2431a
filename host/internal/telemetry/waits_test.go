// SPDX-License-Identifier: MPL-2.0

package telemetry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/armon/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/consistency"
	"github.com/vault-replication/vault-replication/host/internal/telemetry"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// late is a node at which nothing arrives.
type late struct {
	consistency.Node
	err error
}

func (l late) Wait(context.Context, replication.Position) error { return l.err }

// times counts what was measured.
type times map[string]int

func (ts times) MeasureSinceWithLabels(key []string, _ time.Time, labels []metrics.Label) {
	name := strings.Join(key, ".")
	for _, l := range labels {
		name += " " + l.Name + "=" + l.Value
	}
	ts[name]++
}

func TestWaitsAreMeasured(t *testing.T) {
	t.Parallel()
	got := times{}
	for _, err := range []error{nil, context.DeadlineExceeded, context.DeadlineExceeded} {
		require.Equal(t, err, telemetry.MeasureWaits(late{err: err}, got).Wait(t.Context(), replication.Position{}))
	}
	require.Equal(t, times{"replication.wait kind=index result=arrived": 1,
		"replication.wait kind=index result=ran_out": 2}, got)
}
