// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/shared/mirror"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// Client is the host's view of a plugin.
type Client struct {
	rpc  replicationv1.ReplicationClient
	conn grpc.ClientConnInterface
	link link
	can  []string
	lost chan struct{}
}

var _ replication.Backend = (*Client)(nil)

// Capabilities are what the plugin said that it can do beyond the protocol version.
func (c *Client) Capabilities() []string { return c.can }

// Lost is closed when the plugin is no longer attached: its process or the connection has
// ended. From then on it cannot reach the host's services.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// Exited is closed when the plugin's process has ended. It stays open when there is no
// process, as in a test within one process.
func (c *Client) Exited() <-chan struct{} { return c.link.done }

// ServeConn implements [replication.Backend]. It closes conn.
func (c *Client) ServeConn(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
	defer conn.Close()
	streamCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.ServeConn(streamCtx)
	if err != nil {
		return c.link.err(ctx, err)
	}
	err = stream.Send(&replicationv1.ServeConnRequest{Message: &replicationv1.ServeConnRequest_Peer{
		Peer: mirror.Message[replicationv1.PeerInfo](&peer),
	}})
	switch {
	case err == nil:
		err = tunnel.Splice(stream.Context(), serveConnClientChunks(stream), conn)
	case errors.Is(err, io.EOF):
		err = nil // a Send that fails does not say why; Recv does
	}
	for err == nil {
		_, err = stream.Recv() // the plugin's verdict comes after the last chunk
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return c.link.err(ctx, err)
}
