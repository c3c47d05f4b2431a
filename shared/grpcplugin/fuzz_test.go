// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/shared/corpus"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Messages between host and plugin: nothing that either may be sent makes the other end.
func FuzzMessages(f *testing.F) {
	at := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Term: 2, Sequence: 9}
	for _, m := range []proto.Message{
		commonv1.OfFrame(&replication.Frame{After: 7, To: at, ConsistentFrom: 8, Payload: []byte("x")}),
		commonv1.OfRange(&replication.Range{After: "a", UpTo: "b", Keys: 1, Payload: []byte("x")}),
		toCursor(&replication.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedUpTo: "k"}),
		toTransition(&replication.Transition{PutState: map[string][]byte{"a": {1}}, DeleteState: []string{"b"},
			Warnings: []string{"w"}}),
		toStatusResponse(&replication.Status{Secondaries: []replication.Peer{{NodeID: "west", Acknowledged: 4}}}),
		toNode(&replication.Node{APIAddr: "https://a", ClusterAddrs: []string{"https://b"}}),
		toNode(&replication.Node{FailoverAddrs: []string{}}),
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
				require.Equal(t, m.Value(), commonv1.OfFrame(m.Value()).Value())
			case *commonv1.Range:
				require.Equal(t, m.Value(), commonv1.OfRange(m.Value()).Value())
			case *replicationv1.CursorResponse:
				require.Equal(t, fromCursor(m), fromCursor(toCursor(fromCursor(m))))
			case *replicationv1.TransitionResponse:
				tr := fromTransition(m)
				if checkTransition(tr) == nil {
					for k, v := range tr.PutState {
						require.LessOrEqual(t, len(k), replication.StateKeyMax)
						require.LessOrEqual(t, len(v), replication.StateValueMax)
					}
				}
				same := fromTransition(toTransition(tr))
				require.Equal(t, tr.Role, same.Role)
				require.Equal(t, tr.PutState, same.PutState)
				require.Equal(t, tr.DeleteState, same.DeleteState)
				require.Equal(t, tr.Handover, same.Handover)
			case *replicationv1.StatusResponse:
				s := fromStatusResponse(m)
				same := fromStatusResponse(toStatusResponse(s))
				require.Equal(t, s.KnownSecondaries, same.KnownSecondaries)
				require.Len(t, same.Secondaries, len(s.Secondaries))
			case *replicationv1.NodeResponse:
				n := fromNode(m)
				require.Equal(t, m.GetFailover() == nil, n.FailoverAddrs == nil, "none is something else than not known")
				same := fromNode(toNode(n))
				require.Equal(t, n.ClusterAddrs, same.ClusterAddrs)
				require.Equal(t, n.FailoverAddrs, same.FailoverAddrs)
			case *replicationv1.DiffResponse:
				d := fromDiffStep(m)
				require.Equal(t, d, fromDiffStep(toDiffStep(d)))
			case *replicationv1.Handover:
				require.Equal(t, m.GetSealed(), fromHandover(m).Sealed)
			}
		}
	})
}
