// SPDX-License-Identifier: MPL-2.0

package role

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A plugin that was started anew knows no heartbeat of a secondary that has not come back. The slot does.
func TestLastHeartbeatOfBeforeARestart(t *testing.T) {
	t.Parallel()
	before, now := time.Unix(1000, 0), time.Unix(2000, 0)
	peers := []replication.Peer{{NodeID: "away"}, {NodeID: "here", Connected: true, LastHeartbeat: now}, {NodeID: "never"}}
	slots := slotsOf([]retention.Status{{ID: "away", Heard: before}, {ID: "here", Heard: before},
		{ID: "other", Heard: now}})
	require.Equal(t, []replication.Peer{
		{NodeID: "away", LastHeartbeat: before}, {NodeID: "here", Connected: true, LastHeartbeat: now}, {NodeID: "never"},
	}, withHeard(peers, slots))
	require.Zero(t, peers[0].LastHeartbeat, "the plugin's own list is left as it is")
}
