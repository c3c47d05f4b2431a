// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	for kind := replication.Internal; kind <= replication.Uncertain; kind++ {
		err := fmt.Errorf("wrapped: %w", replication.Errorf(kind, "sentence %d", kind))
		back := link.FromStatus(link.ToStatus(err))
		require.Equal(t, kind, replication.KindOf(back))
		require.Equal(t, fmt.Sprintf("sentence %d", kind), back.Error())
	}
	require.NoError(t, link.ToStatus(nil))
	require.NoError(t, link.FromStatus(nil))
	require.Equal(t, codes.Canceled, status.Code(link.ToStatus(context.Canceled)))
	require.Equal(t, codes.Internal, status.Code(link.ToStatus(fmt.Errorf("x"))))
	require.Equal(t, replication.Unreachable,
		replication.KindOf(link.FromStatus(status.Error(codes.Unavailable, "reset"))))
	require.Equal(t, replication.InvalidInput, replication.KindOf(link.FromStatus(status.Error(codes.Unimplemented, "x"))))
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	e := func(g uint64, id string) replication.Epoch { return replication.Epoch{Generation: g, ID: id} }
	for _, c := range []struct {
		secondary, primary replication.Epoch
		want               link.Relation
	}{
		{e(1, "a"), e(1, "a"), link.Same},
		{replication.Epoch{}, e(1, "a"), link.Behind},
		{e(1, "a"), e(2, "b"), link.Behind},
		{e(2, "b"), e(1, "a"), link.Ahead},
		{e(2, "b"), e(2, "c"), link.Diverged},
	} {
		require.Equal(t, c.want, link.Compare(c.secondary, c.primary), "%s %s", c.secondary, c.primary)
		require.Equal(t, c.want == link.Same || c.want == link.Behind, link.CheckRelation(c.secondary, c.primary) == nil)
	}
	half := &replication.Cursor{Position: replication.Position{Epoch: e(1, "a")}, Copying: true,
		CopyFrom: replication.Position{Epoch: e(2, "b")}}
	require.Equal(t, e(2, "b"), link.CursorEpoch(half))
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 200)
	for i := range 200 {
		many = append(many, fmt.Sprintf("a:%d", i+1))
	}
	require.Len(t, link.MergeAddresses(many), link.AddressesMax)
	require.Equal(t, []string{"b:1", "a:1"}, link.MergeAddresses([]string{"b:1", "bad"}, []string{"a:1", "b:1"}))
	n := link.FromNode(&linkv1.Node{ApiAddr: "https://x:1", ClusterAddr: "bad", ClusterAddrs: many})
	require.Equal(t, link.NodeInfo{APIAddr: "https://x:1", ClusterAddrs: many[:link.AddressesMax]}, n)
	for _, a := range []string{"http://a.test:8200", "https://[::1]:8200/", "https://a.test"} {
		require.Equal(t, a, link.FromNode(&linkv1.Node{ApiAddr: a}).APIAddr)
	}
	// It is shown, and people click on it.
	for _, a := range []string{
		"javascript:alert(1)", "data:text/html,x", "//a.test", "a.test:8200", "https://", "https://u:p@a.test",
		"https://a.test/?x=1",
		"https://a.test/#x", "https://a.test/\n", "https://x:1\xff", "https://" + strings.Repeat("a", 600),
	} {
		require.Empty(t, link.FromNode(&linkv1.Node{ApiAddr: a}).APIAddr, a)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	good := &commonv1.Range{After: []byte("a"), UpTo: []byte("b"), Keys: 1, Payload: []byte("x")}
	r, err := link.FromRange(good, "a")
	require.NoError(t, err)
	require.Equal(t, &replication.Range{After: "a", UpTo: "b", Keys: 1, Payload: []byte("x")}, r)
	for name, bad := range map[string]*commonv1.Range{
		"none":          nil,
		"hole":          {After: []byte("aa"), UpTo: []byte("b")},
		"backwards":     {After: []byte("a"), UpTo: []byte("a")},
		"end":           {After: []byte("a"), UpTo: []byte("b"), Last: true},
		"key too long":  {After: []byte("a"), UpTo: bytes.Repeat([]byte("b"), link.KeyMax+1)},
		"payload":       {After: []byte("a"), UpTo: []byte("b"), Payload: make([]byte, replication.PayloadMax+1)},
		"without a end": {After: []byte("a")},
	} {
		_, err := link.FromRange(bad, "a")
		require.Error(t, err, name)
	}
}

// Vault does not promise that the name of a key is UTF-8.
func TestNamesOfKeysAreBytes(t *testing.T) {
	t.Parallel()
	for _, m := range []proto.Message{
		&linkv1.CopyRequest{After: []byte("a\xff")},
		&linkv1.CopyResponse{Range: mirror.Message[commonv1.Range](&replication.Range{After: "a\xff", UpTo: "b\xff"})},
	} {
		raw, err := proto.Marshal(m)
		require.NoError(t, err)
		got := m.ProtoReflect().New().Interface()
		require.NoError(t, proto.Unmarshal(raw, got))
		require.True(t, proto.Equal(m, got))
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	to := replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "a"}, Term: 2, Sequence: 9}
	want := &replication.Frame{After: 7, To: to, ConsistentFrom: 8, Payload: []byte("x")}
	got, err := link.FromFrame(mirror.Message[commonv1.Frame](want))
	require.NoError(t, err)
	require.Equal(t, want, got)
	noEpoch, empty, long := *want, *want, *want
	noEpoch.To.Epoch = replication.Epoch{}
	empty.After = 9
	long.To.Epoch.ID = strings.Repeat("x", 200)
	for name, bad := range map[string]*commonv1.Frame{
		"none": nil, "no epoch": mirror.Message[commonv1.Frame](&noEpoch), "empty": mirror.Message[commonv1.Frame](&empty),
		"epoch too long": mirror.Message[commonv1.Frame](&long),
		"payload": {After: 1, To: mirror.Message[commonv1.Position](&to),
			Payload: make([]byte, replication.PayloadMax+1)},
	} {
		_, err := link.FromFrame(bad)
		require.Error(t, err, name)
	}
}
