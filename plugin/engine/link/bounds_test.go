// SPDX-License-Identifier: MPL-2.0

package link_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
)

// pad makes a message of any type about n bytes long, in an unknown field.
func pad(m protoreflect.ProtoMessage, n int) protoreflect.ProtoMessage {
	raw := protowire.AppendTag(nil, 1<<20, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(raw, make([]byte, n)))
	return m
}

func methods(t *testing.T) (all []protoreflect.MethodDescriptor) {
	services := linkv1.File_link_v1_link_proto.Services()
	for i := range services.Len() {
		for j := range services.Get(i).Methods().Len() {
			all = append(all, services.Get(i).Methods().Get(j))
		}
	}
	require.Greater(t, len(all), 4)
	return all
}

// A primary accepts requests only as large as each method needs.
func TestRequestsAreSmall(t *testing.T) {
	t.Parallel()
	for _, method := range methods(t) {
		typ, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
		require.NoError(t, err)
		most := link.SmallRequestMax
		switch method.Name() {
		case "Forward", "ForwardLarge", "Diff":
			most = link.RequestMax
		case "Stream":
			most = link.AckMax
		}
		require.NoError(t, link.CheckRequest(pad(typ.New().Interface(), most-64)), method.FullName())
		require.Error(t, link.CheckRequest(pad(typ.New().Interface(), most)), method.FullName())
	}
}

// Neither side accepts a message that is larger than a payload and its envelope.
func TestMessagesOfTheOtherClusterAreBounded(t *testing.T) {
	t.Parallel()
	large := make([]byte, link.MessageMax+1)
	answer := func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		return stream.SendMsg(&large)
	}
	serve := func(o ...grpc.ServerOption) *bufconn.Listener {
		s := grpc.NewServer(append(o, grpc.ForceServerCodec(asIs{}), grpc.UnknownServiceHandler(answer))...)
		l := bufconn.Listen(1 << 20)
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Stop)
		return l
	}
	bounded := serve(link.ServerOptions(insecure.NewCredentials())...)
	unbounded := serve(grpc.MaxSendMsgSize(2 * link.MessageMax))
	requests, err := grpc.NewClient("passthrough:///x",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(2*link.MessageMax)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return bounded.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = requests.Close() })
	conn, err := unbounded.DialContext(t.Context())
	require.NoError(t, err)
	answers, err := link.NewClientConn(conn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answers.Close() })

	send := func(cc *grpc.ClientConn, method protoreflect.MethodDescriptor, request []byte) codes.Code {
		name := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
		stream, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name,
			grpc.ForceCodec(asIs{}))
		require.NoError(t, err)
		if err := stream.SendMsg(&request); err != nil {
			require.ErrorContains(t, err, "EOF")
		}
		var answer []byte
		return status.Code(stream.RecvMsg(&answer))
	}
	for _, method := range methods(t) {
		require.Equal(t, codes.ResourceExhausted, send(requests, method, large), method.FullName())
		require.Equal(t, codes.ResourceExhausted, send(answers, method, nil), method.FullName())
	}
}

// asIs sends bytes unchanged. A bounded receiver sees the length before the rest.
type asIs struct{}

func (asIs) Name() string                    { return "proto" }
func (asIs) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (asIs) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }
