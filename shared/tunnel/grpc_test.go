// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// clientStream and serverStream are the two ends of a gRPC stream.
type clientStream struct {
	grpc.BidiStreamingClient[replicationv1.ServeConnRequest, replicationv1.ServeConnResponse]
}

func (s clientStream) Send(c tunnel.Chunk) error {
	return s.BidiStreamingClient.Send(&replicationv1.ServeConnRequest{
		Message: &replicationv1.ServeConnRequest_Chunk{Chunk: toWire(c)},
	})
}

func (s clientStream) Recv() (tunnel.Chunk, error) {
	m, err := s.BidiStreamingClient.Recv()
	return fromWire(m.GetChunk()), err
}

type serverStream struct {
	grpc.BidiStreamingServer[replicationv1.ServeConnRequest, replicationv1.ServeConnResponse]
}

func (s serverStream) Send(c tunnel.Chunk) error {
	return s.BidiStreamingServer.Send(&replicationv1.ServeConnResponse{Chunk: toWire(c)})
}

func (s serverStream) Recv() (tunnel.Chunk, error) {
	m, err := s.BidiStreamingServer.Recv()
	return fromWire(m.GetChunk()), err
}

func toWire(c tunnel.Chunk) *replicationv1.Chunk {
	return &replicationv1.Chunk{Data: c.Data, Signal: replicationv1.Chunk_Signal(c.Signal), Refused: c.Refused}
}

func fromWire(c *replicationv1.Chunk) tunnel.Chunk {
	return tunnel.Chunk{Data: c.GetData(), Signal: tunnel.Signal(c.GetSignal()), Refused: c.GetRefused()}
}

// service hands every stream to a function.
type service struct {
	replicationv1.UnimplementedReplicationServer
	handle func(ctx context.Context, s tunnel.Stream) error
}

func (s service) ServeConn(
	stream grpc.BidiStreamingServer[replicationv1.ServeConnRequest, replicationv1.ServeConnResponse]) error {
	return s.handle(stream.Context(), serverStream{stream})
}

// dial makes a gRPC stream in memory whose other end goes to handle.
func dial(t testing.TB, handle func(ctx context.Context, s tunnel.Stream) error) (tunnel.Stream, context.CancelFunc) {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	replicationv1.RegisterReplicationServer(server, service{handle: handle})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(lis)
	}()
	cc, err := grpc.NewClient("passthrough:memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		cc.Close()
		server.Stop()
		<-served
	})
	stream, err := replicationv1.NewReplicationClient(cc).ServeConn(ctx)
	require.NoError(t, err)
	return clientStream{stream}, cancel
}

// pair makes two connected tunnel connections: the client's and the server's.
func pair(t testing.TB) (client, server *tunnel.Conn) {
	t.Helper()
	accepted := make(chan *tunnel.Conn, 1)
	stream, cancel := dial(t, func(_ context.Context, s tunnel.Stream) error {
		c := tunnel.NewConn(s, tunnel.Options{Local: "server", Remote: "client"})
		accepted <- c
		<-c.Done()
		return nil
	})
	client = tunnel.NewConn(stream, tunnel.Options{Local: "client", Remote: "server", Abort: cancel})
	// A server sees a stream only with the first message: an empty chunk.
	require.NoError(t, stream.Send(tunnel.Chunk{}))
	server = <-accepted
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-client.Done()
		<-server.Done()
	})
	return client, server
}
