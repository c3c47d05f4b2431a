// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// sameAgain reads a message, and what is made of what was read.
func sameAgain[V, M any](t *testing.T, m *M) *V {
	v := mirror.Value[V](m)
	require.Equal(t, v, mirror.Value[V](mirror.Message[M](v)))
	return v
}

// Messages between host and plugin: nothing that either may be sent makes the other end.
func FuzzMessages(f *testing.F) {
	at := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Term: 2, Sequence: 9}
	for _, m := range []proto.Message{
		mirror.Message[commonv1.Frame](&replication.Frame{After: 7, To: at, ConsistentFrom: 8, Payload: []byte("x")}),
		mirror.Message[commonv1.Range](&replication.Range{After: "a", UpTo: "b", Keys: 1, Payload: []byte("x")}),
		mirror.Message[replicationv1.CursorResponse](&replication.Cursor{Position: at, Copying: true, CopyFrom: at,
			CopiedUpTo: "k"}),
		mirror.Message[replicationv1.TransitionResponse](&replication.Transition{PutState: map[string][]byte{"a": {1}},
			DeleteState: []string{"b"},
			Warnings:    []string{"w"}}),
		mirror.Message[replicationv1.StatusResponse](
			&replication.Status{Secondaries: []replication.Peer{{NodeID: "west", Acknowledged: 4}}}),
		mirror.Message[replicationv1.NodeResponse](&replication.Node{APIAddr: "https://a",
			ClusterAddrs: []string{"https://b"}}),
		mirror.Message[replicationv1.NodeResponse](&replication.Node{Failover: []string{}}),
	} {
		raw, err := proto.Marshal(m)
		require.NoError(f, err)
		corpus.Add(f, raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		messages := []proto.Message{
			new(commonv1.Frame), new(commonv1.Range), new(replicationv1.CursorResponse), new(replicationv1.TransitionResponse),
			new(replicationv1.StatusResponse), new(replicationv1.NodeResponse), new(replicationv1.DiffResponse),
			new(replicationv1.Handover),
		}
		for _, m := range messages {
			if proto.Unmarshal(raw, m) != nil {
				continue
			}
			switch m := m.(type) {
			case *commonv1.Frame:
				sameAgain[replication.Frame](t, m)
			case *commonv1.Range:
				sameAgain[replication.Range](t, m)
			case *replicationv1.CursorResponse:
				sameAgain[replication.Cursor](t, m)
			case *replicationv1.TransitionResponse:
				tr := sameAgain[replication.Transition](t, m)
				if checkTransition(tr) == nil {
					for k, v := range tr.PutState {
						require.LessOrEqual(t, len(k), replication.StateKeyMax)
						require.LessOrEqual(t, len(v), replication.StateValueMax)
					}
				}
			case *replicationv1.StatusResponse:
				sameAgain[replication.Status](t, m)
			case *replicationv1.NodeResponse:
				n := sameAgain[replication.Node](t, m)
				require.Equal(t, m.GetFailover() == nil, n.Failover == nil, "none is something else than not known")
			case *replicationv1.DiffResponse:
				sameAgain[replication.DiffStep](t, m)
			case *replicationv1.Handover:
				require.Equal(t, m.GetSealed(), sameAgain[replication.Handover](t, m).Sealed)
			}
		}
	})
}
