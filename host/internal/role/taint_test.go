// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// acknowledging is a plugin whose secondary gets on by one with each look.
type acknowledging struct {
	replication.Backend
	at uint64
}

func (a *acknowledging) Status(context.Context) (*replication.Status, error) {
	a.at++
	return &replication.Status{Secondaries: []replication.Peer{{NodeID: "eu", Connected: true, Acknowledged: a.at}}}, nil
}

func TestAwaitAcknowledged(t *testing.T) {
	t.Parallel()
	eu := &acknowledging{}
	require.Empty(t, awaitAcknowledged(t.Context(), eu, 3, time.Second))
	require.Equal(t, uint64(3), eu.at)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, "eu", awaitAcknowledged(ended, eu, 1000, time.Second))
}

// hanging is a plugin whose secondary was heard of a while ago, acknowledges nothing,
// and is still connected.
type hanging struct {
	replication.Backend
	heard time.Time
}

func (h *hanging) Status(context.Context) (*replication.Status, error) {
	return &replication.Status{Secondaries: []replication.Peer{{NodeID: "eu", Connected: true, LastHeartbeat: h.heard}}},
		nil
}

// A secondary that hangs is not waited for as one that works.
func TestASilentSecondaryHoldsNothingUp(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, awaitAcknowledged(ended, &hanging{heard: time.Now().Add(-time.Minute)}, 1, taintSilence))
	require.Equal(t, "eu", awaitAcknowledged(ended, &hanging{heard: time.Now()}, 1, taintSilence))
	require.Equal(t, "eu", awaitAcknowledged(ended, &hanging{}, 1, taintSilence), "it has just come")
}
