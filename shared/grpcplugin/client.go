// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

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

// transition makes a call that answers with a change of role.
func transition[Req any](ctx context.Context, l link, do rpc[Req, replicationv1.TransitionResponse], req *Req) (
	*replication.Transition, error) {
	return ask(ctx, l, do, req, fromTransition)
}

// Start implements [replication.Backend].
func (c *Client) Start(ctx context.Context, req replication.StartRequest) error {
	return tell(ctx, c.link, c.rpc.Start, &replicationv1.StartRequest{Role: string(req.Role), ClusterId: req.ClusterID,
		Contested: req.Contested})
}

// Stop implements [replication.Backend].
func (c *Client) Stop(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Stop, &replicationv1.StopRequest{})
}

// Status implements [replication.Backend].
func (c *Client) Status(ctx context.Context) (*replication.Status, error) {
	return ask(ctx, c.link, c.rpc.Status, &replicationv1.StatusRequest{}, fromStatusResponse)
}

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
		Peer: &replicationv1.PeerInfo{Certificate: peer.Certificate, RemoteAddr: peer.RemoteAddr},
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

// EnablePrimary implements [replication.Backend].
func (c *Client) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.EnablePrimary,
		&replicationv1.EnablePrimaryRequest{PrimaryClusterAddr: req.PrimaryClusterAddr})
}

// DemotePrimary implements [replication.Backend].
func (c *Client) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DemotePrimary, &replicationv1.DemotePrimaryRequest{})
}

// DisablePrimary implements [replication.Backend].
func (c *Client) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DisablePrimary, &replicationv1.DisablePrimaryRequest{})
}

// SecondaryToken implements [replication.Backend].
func (c *Client) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	return ask(ctx, c.link, c.rpc.SecondaryToken, &replicationv1.SecondaryTokenRequest{Id: req.ID}, fromSecondaryToken)
}

// RevokeSecondary implements [replication.Backend].
func (c *Client) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	return tell(ctx, c.link, c.rpc.RevokeSecondary, &replicationv1.RevokeSecondaryRequest{Id: req.ID})
}

// EnableSecondary implements [replication.Backend].
func (c *Client) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.EnableSecondary, &replicationv1.EnableSecondaryRequest{Bundle: req.Bundle,
		Id: req.ID, Challenge: req.Challenge})
}

// PromoteSecondary implements [replication.Backend].
func (c *Client) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (
	*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.PromoteSecondary,
		&replicationv1.PromoteSecondaryRequest{PrimaryClusterAddr: req.PrimaryClusterAddr, Force: req.Force})
}

// DisableSecondary implements [replication.Backend].
func (c *Client) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DisableSecondary, &replicationv1.DisableSecondaryRequest{})
}

// UpdatePrimary implements [replication.Backend].
func (c *Client) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.UpdatePrimary, &replicationv1.UpdatePrimaryRequest{Bundle: req.Bundle, Id: req.ID,
		Addrs: req.Addrs, Challenge: req.Challenge})
}

// Recover implements [replication.Backend].
func (c *Client) Recover(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Recover, &replicationv1.RecoverRequest{})
}
