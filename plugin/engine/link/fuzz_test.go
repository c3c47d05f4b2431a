// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The other cluster describes its node. The addresses that are kept can be dialled, and their number is bounded.
func FuzzNode(f *testing.F) {
	addresses := []string{"https://a.test:8201", "b.test:8201"}
	for _, n := range []*linkv1.Node{
		link.ToNode(&replication.Node{APIAddr: "https://a.test:8200", ClusterAddr: addresses[0], ClusterAddrs: addresses,
			Failover: addresses}, "lb.test:1"),
		{ClusterAddr: "http://a:1", ClusterAddrs: []string{"", "a\nb:1", "a:0"}, Failover: &commonv1.Addresses{}},
	} {
		raw, err := proto.Marshal(n)
		require.NoError(f, err)
		corpus.Add(f, raw)
	}
	var crowd linkv1.Node
	for i := range 2 * link.AddressesMax {
		crowd.ClusterAddrs = append(crowd.ClusterAddrs, strings.Repeat("a", i+1)+":1")
	}
	crowd.ApiAddr, crowd.Failover = strings.Repeat("a", clusteraddr.Max+1),
		&commonv1.Addresses{ClusterAddrs: crowd.ClusterAddrs}
	raw, err := proto.Marshal(&crowd)
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var w linkv1.Node
		if proto.Unmarshal(raw, &w) != nil {
			return
		}
		n := link.FromNode(&w)
		require.LessOrEqual(t, len(n.ClusterAddrs), link.AddressesMax)
		require.LessOrEqual(t, len(n.FailoverAddrs), link.FailoverMax)
		require.LessOrEqual(t, len(n.APIAddr), clusteraddr.Max)
		require.Equal(t, w.GetFailover() == nil, n.FailoverAddrs == nil, "none is something else than not known")
		for _, a := range append(append([]string{}, n.ClusterAddrs...), n.FailoverAddrs...) {
			require.NoError(t, clusteraddr.Check(a))
		}
		same := link.FromNode(link.ToNode(&replication.Node{
			APIAddr: n.APIAddr, ClusterAddr: n.ClusterAddr, ClusterAddrs: n.ClusterAddrs, Failover: n.FailoverAddrs,
		}))
		require.Equal(t, n.FailoverAddrs, same.FailoverAddrs)
		require.Equal(t, n.ClusterAddr, same.ClusterAddr)
		require.Equal(t, n.APIAddr, same.APIAddr)
	})
}

// Messages of the other cluster that are accepted are within the bounds and survive encoding.
func FuzzMessages(f *testing.F) {
	at := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "a"}, Term: 2, Sequence: 9}
	for _, m := range []proto.Message{
		mirror.Message[commonv1.Frame](&replication.Frame{After: 7, To: at, ConsistentFrom: 8, Payload: []byte("x")}),
		mirror.Message[commonv1.Range](&replication.Range{After: "a", UpTo: "b", Keys: 1, Payload: []byte("x")}),
		link.ToCursor(&replication.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedUpTo: "k", ConsistentFrom: 9}),
	} {
		raw, err := proto.Marshal(m)
		require.NoError(f, err)
		corpus.Add(f, raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var frame commonv1.Frame
		if proto.Unmarshal(raw, &frame) == nil {
			if got, err := link.FromFrame(&frame); err == nil {
				require.Greater(t, got.To.Sequence, got.After)
				same, err := link.FromFrame(mirror.Message[commonv1.Frame](got))
				require.NoError(t, err)
				require.Equal(t, got, same)
			}
		}
		var rng commonv1.Range
		if proto.Unmarshal(raw, &rng) == nil {
			if got, err := link.FromRange(&rng, string(rng.GetAfter())); err == nil {
				require.True(t, got.Last || strings.Compare(got.UpTo, got.After) > 0)
			}
		}
		var cursor linkv1.Cursor
		if proto.Unmarshal(raw, &cursor) == nil {
			if got, err := link.FromCursor(&cursor); err == nil {
				_, err := link.FromCursor(link.ToCursor(got))
				require.NoError(t, err)
			}
		}
		_, _ = link.FromFingerprint(raw)
	})
}
