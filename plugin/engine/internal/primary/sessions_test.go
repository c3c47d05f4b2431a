// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A node displaces nobody if it connects again, or after the session of another node has ended.
func TestDisplacedSessionsAreCounted(t *testing.T) {
	t.Parallel()
	ss := newSessions()
	ps := ss.peer("west")
	attach := func(address string, nodes ...string) (*peerConn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { _, _ = near.Close(), far.Close() })
		pc := &peerConn{Conn: near, id: "west"}
		require.NoError(t, ss.track(pc))
		node := link.NodeInfo{ClusterAddr: address, ClusterAddrs: nodes}
		if err := ss.mayReplace(ps, pc, node); err != nil {
			return nil, err
		}
		_, err := ss.attach(ps, pc, replication.Epoch{}, node)
		return pc, err
	}
	come := func(address string, nodes ...string) *peerConn {
		pc, err := attach(address, nodes...)
		require.NoError(t, err)
		return pc
	}
	displaced := func() uint64 { return ss.list()[0].Displaced }
	come("https://a:8201")
	again := come("https://a:8201")
	_, err := ss.attach(ps, again, replication.Epoch{}, link.NodeInfo{ClusterAddr: "https://a:8201"})
	require.NoError(t, err)
	require.Zero(t, displaced())
	ss.untrack(again)
	come("https://b:8201", "https://c:8201")
	require.Zero(t, displaced(), "the other one had ended")
	come("https://c:8201", "https://b:8201")
	require.EqualValues(t, 1, displaced(), "a node of the same cluster")
	for i := range uint64(2) {
		_, err = attach("https://a:8201")
		require.ErrorContains(t, err, "two clusters use the credentials", "another cluster is refused")
		require.Equal(t, i+2, displaced())
	}
}
