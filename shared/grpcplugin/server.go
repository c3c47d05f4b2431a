// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/vault-replication/vault-replication/shared/mirror"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// detachGrace is how long a backend may take to stop when the host is gone. It
// is below the two seconds that go-plugin waits before it kills.
const detachGrace = 1500 * time.Millisecond

// backendServer serves a plugin's backend to the host.
type backendServer struct {
	replicationv1.UnimplementedReplicationServer

	factory  Factory
	broker   *plugin.GRPCBroker
	logger   hclog.Logger
	detached func() // may be called more than once

	claimed atomic.Bool
	backend atomic.Pointer[replication.Backend] // nil before and after the host
}

// Attach makes the backend and holds the stream until the host is gone.
func (s *backendServer) Attach(req *replicationv1.AttachRequest, stream replicationv1.Replication_AttachServer) error {
	if !s.claimed.CompareAndSwap(false, true) {
		return toStatus(replication.Errorf(replication.InvalidInput, "the plugin is attached already: start another "+
			"process for another host"))
	}
	cc, err := dialHost(stream.Context(), s.broker, req)
	if err != nil {
		s.claimed.Store(false)
		return toStatus(replication.Errorf(replication.Unavailable, "the plugin cannot reach the services of the host: "+
			"%w", err))
	}
	defer cc.close()

	ctx := stream.Context()
	host := &hostClient{rpc: replicationv1.NewHostClient(cc), conn: cc, can: req.GetCapabilities(), link: link{
		peer: "Vault host", hint: "the plugin tries again or is restarted", done: ctx.Done(),
	}}
	backend := s.factory(host, s.logger)
	s.backend.Store(&backend)
	if err := stream.Send(&replicationv1.AttachResponse{Capabilities: capabilities()}); err == nil {
		<-ctx.Done()
	}

	s.backend.Store(nil)
	if s.detached != nil {
		// The process ends in any case, also when the backend does not stop.
		defer s.detached()
		defer time.AfterFunc(detachGrace, s.detached).Stop()
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachGrace)
	defer cancel()
	if err := backend.Stop(stopCtx); err != nil {
		s.logger.Debug("stopping after the host has gone", "error", err)
	}
	return toStatus(ctx.Err())
}

// attached is the backend, or Unavailable.
func (s *backendServer) attached() (replication.Backend, error) {
	if b := s.backend.Load(); b != nil {
		return *b, nil
	}
	return nil, replication.Errorf(replication.Unavailable, "the plugin is not attached to a host")
}

func (s *backendServer) ServeConn(stream replicationv1.Replication_ServeConnServer) error {
	b, err := s.attached()
	if err != nil {
		return toStatus(err)
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	peer := first.GetPeer()
	if peer == nil {
		return toStatus(replication.Errorf(replication.InvalidInput, "the first message of a connection is not its peer"))
	}
	ctx := stream.Context()
	l := link{peer: "Vault host", hint: "the connection is lost", done: ctx.Done()}
	conn := tunnel.NewConn(serveConnServerChunks(stream), tunnel.Options{
		Local: "cluster-port", Remote: peer.GetRemoteAddr(),
		MapError: func(err error) error { return l.err(ctx, err) },
	})
	err = b.ServeConn(ctx, conn, *mirror.Value[replication.PeerInfo](peer))
	conn.Close()
	select {
	case <-conn.Done():
	case <-ctx.Done():
	case <-time.After(tunnel.Linger):
	}
	return toStatus(err)
}
