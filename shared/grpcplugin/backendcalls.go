// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/mirror"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// answer runs a call of the backend and makes its result a message.
func answer[Res, V any](ctx context.Context, s *backendServer,
	do func(replication.Backend, context.Context) (*V, error)) (*Res, error) {
	b, err := s.attached()
	if err != nil {
		return nil, toStatus(err)
	}
	return reply[Res](do(b, ctx))
}

// serve answers a call of the backend that has a request.
func serve[Res, In, V, Req any](ctx context.Context, s *backendServer, req *Req,
	do func(replication.Backend, context.Context, In) (*V, error)) (*Res, error) {
	return answer[Res](ctx, s, func(b replication.Backend, ctx context.Context) (*V, error) {
		return do(b, ctx, *mirror.Value[In](req))
	})
}

// obey runs a call of the backend that answers with nothing but an error.
func obey[Res any](s *backendServer, do func(replication.Backend) error) (*Res, error) {
	b, err := s.attached()
	if err == nil {
		err = do(b)
	}
	return done(new(Res), err)
}

// Start implements [replication.Backend].
func (c *Client) Start(ctx context.Context, req replication.StartRequest) error {
	return tell(ctx, c.link, c.rpc.Start, mirror.Message[replicationv1.StartRequest](&req))
}

func (s *backendServer) Start(ctx context.Context, req *replicationv1.StartRequest) (*replicationv1.StartResponse,
	error) {
	return obey[replicationv1.StartResponse](s, func(b replication.Backend) error {
		return b.Start(ctx, *mirror.Value[replication.StartRequest](req))
	})
}

// Stop implements [replication.Backend].
func (c *Client) Stop(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Stop, &replicationv1.StopRequest{})
}

func (s *backendServer) Stop(ctx context.Context, _ *replicationv1.StopRequest) (*replicationv1.StopResponse, error) {
	return obey[replicationv1.StopResponse](s, func(b replication.Backend) error { return b.Stop(ctx) })
}

// Status implements [replication.Backend].
func (c *Client) Status(ctx context.Context) (*replication.Status, error) {
	return ask[replication.Status](ctx, c.link, c.rpc.Status, &replicationv1.StatusRequest{})
}

func (s *backendServer) Status(ctx context.Context, _ *replicationv1.StatusRequest) (*replicationv1.StatusResponse,
	error) {
	return answer[replicationv1.StatusResponse](ctx, s, replication.Backend.Status)
}

// EnablePrimary implements [replication.Backend].
func (c *Client) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.EnablePrimary,
		mirror.Message[replicationv1.EnablePrimaryRequest](&req))
}

func (s *backendServer) EnablePrimary(ctx context.Context, req *replicationv1.EnablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return serve[replicationv1.TransitionResponse](ctx, s, req, replication.Backend.EnablePrimary)
}

// DemotePrimary implements [replication.Backend].
func (c *Client) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.DemotePrimary, &replicationv1.DemotePrimaryRequest{})
}

func (s *backendServer) DemotePrimary(ctx context.Context, _ *replicationv1.DemotePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answer[replicationv1.TransitionResponse](ctx, s, replication.Backend.DemotePrimary)
}

// DisablePrimary implements [replication.Backend].
func (c *Client) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.DisablePrimary, &replicationv1.DisablePrimaryRequest{})
}

func (s *backendServer) DisablePrimary(ctx context.Context, _ *replicationv1.DisablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answer[replicationv1.TransitionResponse](ctx, s, replication.Backend.DisablePrimary)
}

// SecondaryToken implements [replication.Backend].
func (c *Client) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	return ask[replication.SecondaryTokenResponse](ctx, c.link, c.rpc.SecondaryToken,
		mirror.Message[replicationv1.SecondaryTokenRequest](&req))
}

func (s *backendServer) SecondaryToken(ctx context.Context, req *replicationv1.SecondaryTokenRequest) (
	*replicationv1.SecondaryTokenResponse, error) {
	return serve[replicationv1.SecondaryTokenResponse](ctx, s, req, replication.Backend.SecondaryToken)
}

// RevokeSecondary implements [replication.Backend].
func (c *Client) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	return tell(ctx, c.link, c.rpc.RevokeSecondary, mirror.Message[replicationv1.RevokeSecondaryRequest](&req))
}

func (s *backendServer) RevokeSecondary(ctx context.Context, req *replicationv1.RevokeSecondaryRequest) (
	*replicationv1.RevokeSecondaryResponse, error) {
	return obey[replicationv1.RevokeSecondaryResponse](s, func(b replication.Backend) error {
		return b.RevokeSecondary(ctx, *mirror.Value[replication.RevokeSecondaryRequest](req))
	})
}

// EnableSecondary implements [replication.Backend].
func (c *Client) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.EnableSecondary,
		mirror.Message[replicationv1.EnableSecondaryRequest](&req))
}

func (s *backendServer) EnableSecondary(ctx context.Context, req *replicationv1.EnableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return serve[replicationv1.TransitionResponse](ctx, s, req, replication.Backend.EnableSecondary)
}

// PromoteSecondary implements [replication.Backend].
func (c *Client) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (
	*replication.Transition, error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.PromoteSecondary,
		mirror.Message[replicationv1.PromoteSecondaryRequest](&req))
}

func (s *backendServer) PromoteSecondary(ctx context.Context, req *replicationv1.PromoteSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return serve[replicationv1.TransitionResponse](ctx, s, req, replication.Backend.PromoteSecondary)
}

// DisableSecondary implements [replication.Backend].
func (c *Client) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.DisableSecondary, &replicationv1.DisableSecondaryRequest{})
}

func (s *backendServer) DisableSecondary(ctx context.Context, _ *replicationv1.DisableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answer[replicationv1.TransitionResponse](ctx, s, replication.Backend.DisableSecondary)
}

// UpdatePrimary implements [replication.Backend].
func (c *Client) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	return ask[replication.Transition](ctx, c.link, c.rpc.UpdatePrimary,
		mirror.Message[replicationv1.UpdatePrimaryRequest](&req))
}

func (s *backendServer) UpdatePrimary(ctx context.Context, req *replicationv1.UpdatePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return serve[replicationv1.TransitionResponse](ctx, s, req, replication.Backend.UpdatePrimary)
}

// Recover implements [replication.Backend].
func (c *Client) Recover(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Recover, &replicationv1.RecoverRequest{})
}

func (s *backendServer) Recover(ctx context.Context, _ *replicationv1.RecoverRequest) (*replicationv1.RecoverResponse,
	error) {
	return obey[replicationv1.RecoverResponse](s, func(b replication.Backend) error { return b.Recover(ctx) })
}
