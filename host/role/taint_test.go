// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestOnlyAMountThatWasNotTaintedBeforeIsHeld(t *testing.T) {
	t.Parallel()
	table := func(tainted ...string) *vault.MountTable {
		mt := &vault.MountTable{Entries: []*vault.MountEntry{{UUID: "sound"}}}
		for _, uuid := range tainted {
			mt.Entries = append(mt.Entries, &vault.MountEntry{UUID: uuid, Tainted: true})
		}
		return mt
	}
	var known taints
	require.False(t, known.take("core/mounts"))
	known.learn("core/mounts", table())
	require.False(t, known.take("core/mounts"))
	known.learn("core/mounts", table("a"))
	require.False(t, known.take("core/auth"))
	require.True(t, known.take("core/mounts"))
	require.False(t, known.take("core/mounts"), "once")
	known.learn("core/mounts", table("a"))
	require.False(t, known.take("core/mounts"), "another write of the table")
	known.learn("core/mounts", table("a", "b"))
	require.True(t, known.take("core/mounts"))
	known.learn("core/mounts", nil)
	require.False(t, known.take("core/mounts"))
}

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
	return &replication.Status{Secondaries: []replication.Peer{{NodeID: "eu", Connected: true, LastHeartbeat: h.heard}}}, nil
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
