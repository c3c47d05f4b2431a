// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

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
	cc, err := dialHost(s.broker, req)
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

// answer runs a call of the backend and makes its result a message. What names it where there is none.
func answer[V, Res any](s *backendServer, what string, to func(*V) *Res, do func(replication.Backend) (*V, error)) (
	*Res, error) {
	b, err := s.attached()
	if err != nil {
		return nil, toStatus(err)
	}
	v, err := do(b)
	return reply(what, to, v, err)
}

// as is for calls whose result is the message already.
func as[Res any](res *Res) *Res { return res }

func answerTransition(s *backendServer, do func(replication.Backend) (*replication.Transition, error)) (
	*replicationv1.TransitionResponse, error) {
	return answer(s, "change of role", toTransition, do)
}

func (s *backendServer) Start(ctx context.Context, req *replicationv1.StartRequest) (*replicationv1.StartResponse,
	error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.StartResponse, error) {
		return &replicationv1.StartResponse{},
			b.Start(ctx, replication.StartRequest{Role: replication.Role(req.GetRole()), ClusterID: req.GetClusterId(),
				Contested: req.GetContested()})
	})
}

func (s *backendServer) Stop(ctx context.Context, _ *replicationv1.StopRequest) (*replicationv1.StopResponse, error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.StopResponse, error) {
		return &replicationv1.StopResponse{}, b.Stop(ctx)
	})
}

func (s *backendServer) Status(ctx context.Context, _ *replicationv1.StatusRequest) (*replicationv1.StatusResponse,
	error) {
	return answer(s, "status", toStatusResponse, func(b replication.Backend) (*replication.Status, error) {
		return b.Status(ctx)
	})
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
	err = b.ServeConn(ctx, conn, replication.PeerInfo{Certificate: peer.GetCertificate(),
		RemoteAddr: peer.GetRemoteAddr()})
	conn.Close()
	linger := time.NewTimer(tunnel.Linger)
	defer linger.Stop()
	select {
	case <-conn.Done():
	case <-ctx.Done():
	case <-linger.C:
	}
	return toStatus(err)
}

func (s *backendServer) EnablePrimary(ctx context.Context, req *replicationv1.EnablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: req.GetPrimaryClusterAddr()})
	})
}

func (s *backendServer) DemotePrimary(ctx context.Context, _ *replicationv1.DemotePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DemotePrimary(ctx)
	})
}

func (s *backendServer) DisablePrimary(ctx context.Context, _ *replicationv1.DisablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DisablePrimary(ctx)
	})
}

func (s *backendServer) SecondaryToken(ctx context.Context, req *replicationv1.SecondaryTokenRequest) (
	*replicationv1.SecondaryTokenResponse, error) {
	return answer(s, "activation bundle", toSecondaryToken,
		func(b replication.Backend) (*replication.SecondaryTokenResponse, error) {
			return b.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: req.GetId()})
		})
}

func (s *backendServer) RevokeSecondary(ctx context.Context, req *replicationv1.RevokeSecondaryRequest) (
	*replicationv1.RevokeSecondaryResponse, error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.RevokeSecondaryResponse, error) {
		return &replicationv1.RevokeSecondaryResponse{},
			b.RevokeSecondary(ctx, replication.RevokeSecondaryRequest{ID: req.GetId()})
	})
}

func (s *backendServer) EnableSecondary(ctx context.Context, req *replicationv1.EnableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.EnableSecondary(ctx, replication.EnableSecondaryRequest{Bundle: req.GetBundle(), ID: req.GetId(),
			Challenge: req.GetChallenge()})
	})
}

func (s *backendServer) PromoteSecondary(ctx context.Context, req *replicationv1.PromoteSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.PromoteSecondary(ctx, replication.PromoteSecondaryRequest{PrimaryClusterAddr: req.GetPrimaryClusterAddr(),
			Force: req.GetForce()})
	})
}

func (s *backendServer) DisableSecondary(ctx context.Context, _ *replicationv1.DisableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DisableSecondary(ctx)
	})
}

func (s *backendServer) UpdatePrimary(ctx context.Context, req *replicationv1.UpdatePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.UpdatePrimary(ctx, replication.UpdatePrimaryRequest{Bundle: req.GetBundle(), ID: req.GetId(),
			Addrs: req.GetAddrs(), Challenge: req.GetChallenge()})
	})
}

func (s *backendServer) Recover(ctx context.Context, _ *replicationv1.RecoverRequest) (*replicationv1.RecoverResponse,
	error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.RecoverResponse, error) {
		return &replicationv1.RecoverResponse{}, b.Recover(ctx)
	})
}
