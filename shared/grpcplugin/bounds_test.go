// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// asIs sends bytes unchanged. A bounded receiver sees the length before the rest.
type asIs struct{}

func (asIs) Name() string                    { return "proto" }
func (asIs) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (asIs) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

// boundary connects a client with the one to a server with the other options, whose
// handler answers every method with these bytes.
func boundary(t *testing.T, server []grpc.ServerOption, client []grpc.DialOption, answer []byte) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer(append(server, grpc.ForceServerCodec(asIs{}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			return stream.SendMsg(&answer)
		}))...)
	l := bufconn.Listen(1 << 20)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///x", append(client,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// The receiver bounds each message of each method, in both directions. The sender may have
// no bounds of its own.
func TestMessagesOfTheBoundaryAreBounded(t *testing.T) {
	t.Parallel()
	unbounded := []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(2 * MaxMessage))}
	large := make([]byte, MaxMessage+1)
	requests := boundary(t, ServerOptions(), unbounded, nil)
	answers := boundary(t, []grpc.ServerOption{grpc.MaxSendMsgSize(2 * MaxMessage)}, DialOptions(), large)
	send := func(conn *grpc.ClientConn, method protoreflect.MethodDescriptor, request []byte) codes.Code {
		name := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name,
			grpc.ForceCodec(asIs{}))
		require.NoError(t, err)
		if err := stream.SendMsg(&request); err != nil {
			require.ErrorContains(t, err, "EOF")
		}
		var answer []byte
		return status.Code(stream.RecvMsg(&answer))
	}
	methods := 0
	services := replicationv1.File_replication_v1_replication_proto.Services()
	for i := range services.Len() {
		for j := range services.Get(i).Methods().Len() {
			method := services.Get(i).Methods().Get(j)
			methods++
			require.Equal(t, codes.OK, send(requests, method, large[:5<<20]), "%s: more than gRPC takes by itself",
				method.FullName())
			require.Equal(t, codes.ResourceExhausted, send(requests, method, large), method.FullName())
			require.Equal(t, codes.ResourceExhausted, send(answers, method, nil), method.FullName())
		}
	}
	require.Greater(t, methods, 20)
}

// What a message says of sizes is checked on top of that, where it leaves and arrives.
func TestRecordsAndPayloadsAreBounded(t *testing.T) {
	t.Parallel()
	value := make([]byte, replication.StateValueMax+1)
	payload := make([]byte, replication.PayloadMax+1)
	name := strings.Repeat("k", replication.StateKeyMax+1)
	require.NoError(t, checkState(name[1:], value[1:]))
	require.NoError(t, checkPayload("frame", payload[1:]))
	require.NoError(t, checkTransition(&replication.Transition{PutState: map[string][]byte{"k": value[1:]},
		DeleteState: []string{name[1:]}}))
	for what, err := range map[string]error{
		"a record without a name":      checkState("", nil),
		"a long name":                  checkState(name, nil),
		"a large record":               checkState("k", value),
		"a large payload":              checkPayload("frame", payload),
		"a large record in a change":   checkTransition(&replication.Transition{PutState: map[string][]byte{"k": value}}),
		"a long name in a change":      checkTransition(&replication.Transition{PutState: map[string][]byte{name: nil}}),
		"a long deletion in a change":  checkTransition(&replication.Transition{DeleteState: []string{name}}),
		"a large answer of a receiver": checkAnswer(payload),
	} {
		require.Error(t, err, what)
	}
}
