// SPDX-License-Identifier: MPL-2.0

package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func at() replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Term: 2, Sequence: 3}
}

func wireAt() *commonv1.Position {
	return &commonv1.Position{Epoch: &commonv1.Epoch{Generation: 1, Id: "e"}, Term: 2, Sequence: 3}
}

// pair has a value and the message of it.
func pair[M, V any](t *testing.T, v *V, m *M) {
	t.Helper()
	made := any(mirror.Message[M](v)).(proto.Message)
	require.True(t, proto.Equal(any(m).(proto.Message), made), "%v", made)
	require.Equal(t, v, mirror.Value[V](m))
}

// Each field crosses, in the form that releases before have written by hand.
func TestBothWays(t *testing.T) {
	t.Parallel()
	when := time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC)
	pair(t, &replication.Cursor{Position: at(), Copying: true, CopyFrom: at(), CopiedUpTo: "k\xff", CopiedKeys: 4,
		ConsistentFrom: 5, Missing: 6, Proof: []byte("p")},
		&replicationv1.CursorResponse{Position: wireAt(), Copying: true, CopyFrom: wireAt(), CopiedUpTo: []byte("k\xff"),
			CopiedKeys: 4, ConsistentFrom: 5, Missing: 6, Proof: []byte("p")})
	pair(t, &replication.Node{APIAddr: "a", ClusterAddrs: []string{"c"}, Failover: []string{}, Now: when},
		&replicationv1.NodeResponse{ApiAddr: "a", ClusterAddrs: []string{"c"}, Failover: &commonv1.Addresses{},
			Now: timestamppb.New(when)})
	pair(t, &replication.Status{State: replication.Idle, Secondaries: []replication.Peer{{NodeID: "n"}, {}}},
		&replicationv1.StatusResponse{State: "idle", Secondaries: []*replicationv1.Peer{{NodeId: "n"}, {}}})
	pair(t, &replication.Transition{Handover: &replication.Handover{Sealed: []byte("s")},
		PutState: map[string][]byte{"k": {1}}},
		&replicationv1.TransitionResponse{Handover: &replicationv1.Handover{Sealed: []byte("s")},
			PutState: map[string][]byte{"k": {1}}})
}

// What is not there stays so: protobuf tells an absent message from an empty one.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	require.Equal(t, &replication.Cursor{}, mirror.Value[replication.Cursor]((*replicationv1.CursorResponse)(nil)))
	pair(t, &replication.Node{}, &replicationv1.NodeResponse{})
	pair(t, &replication.Transition{}, &replicationv1.TransitionResponse{})
	pair(t, &replication.Status{}, &replicationv1.StatusResponse{})
	pair(t, &replication.Frame{}, &commonv1.Frame{To: &commonv1.Position{Epoch: &commonv1.Epoch{}}})
}

func TestTextThatIsNotUTF8IsMended(t *testing.T) {
	t.Parallel()
	w := mirror.Message[replicationv1.TransitionResponse](&replication.Transition{Warnings: []string{"a\xff", "b"}})
	require.Equal(t, []string{"a\uFFFD", "b"}, w.GetWarnings())
	_, err := proto.Marshal(w)
	require.NoError(t, err)
}

func TestAFieldOfOneSideIsAFault(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { mirror.Message[commonv1.Epoch](&struct{ Generation uint64 }{}) })
	require.Panics(t, func() { mirror.Message[commonv1.Epoch](&struct{ Generation, Term uint64 }{}) })
}
