// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// chunks makes a tunnel's stream of a gRPC stream. gRPC encodes a message before its Send
// returns, as the tunnel demands: neither end installs anything that would look at the
// message later.
type chunks struct {
	send func(*replicationv1.Chunk) error
	recv func() (*replicationv1.Chunk, error)
}

func (c chunks) Send(chunk tunnel.Chunk) error {
	return c.send(&replicationv1.Chunk{Data: chunk.Data, Signal: replicationv1.Chunk_Signal(chunk.Signal),
		Refused: chunk.Refused})
}

func (c chunks) Recv() (tunnel.Chunk, error) {
	chunk, err := c.recv()
	if err != nil {
		return tunnel.Chunk{}, err
	}
	return tunnel.Chunk{Data: chunk.GetData(), Signal: tunnel.Signal(chunk.GetSignal()), Refused: chunk.GetRefused()}, nil
}

// chunksOf makes the chunks of a stream whose messages each have a chunk. wrap makes a message to send.
func chunksOf[In interface{ GetChunk() *replicationv1.Chunk }, Out any](s interface {
	Send(m *Out) error
	Recv() (In, error)
}, wrap func(*replicationv1.Chunk) *Out) tunnel.Stream {
	return chunks{
		send: func(c *replicationv1.Chunk) error { return s.Send(wrap(c)) },
		recv: func() (*replicationv1.Chunk, error) {
			m, err := s.Recv()
			return m.GetChunk(), err
		},
	}
}

func serveConnClientChunks(s replicationv1.Replication_ServeConnClient) tunnel.Stream {
	return chunksOf(s, func(c *replicationv1.Chunk) *replicationv1.ServeConnRequest {
		return &replicationv1.ServeConnRequest{Message: &replicationv1.ServeConnRequest_Chunk{Chunk: c}}
	})
}

func serveConnServerChunks(s replicationv1.Replication_ServeConnServer) tunnel.Stream {
	return chunksOf(s, func(c *replicationv1.Chunk) *replicationv1.ServeConnResponse {
		return &replicationv1.ServeConnResponse{Chunk: c}
	})
}

func dialClientChunks(s replicationv1.Host_DialClient) tunnel.Stream {
	return chunksOf(s, func(c *replicationv1.Chunk) *replicationv1.DialRequest {
		return &replicationv1.DialRequest{Message: &replicationv1.DialRequest_Chunk{Chunk: c}}
	})
}

func dialServerChunks(s replicationv1.Host_DialServer) tunnel.Stream {
	return chunksOf(s, func(c *replicationv1.Chunk) *replicationv1.DialResponse {
		return &replicationv1.DialResponse{Message: &replicationv1.DialResponse_Chunk{Chunk: c}}
	})
}
