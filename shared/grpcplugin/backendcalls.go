// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"

	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// transition makes a call that answers with a change of role.
func transition[Req any](ctx context.Context, l link, do rpc[Req, replicationv1.TransitionResponse], req *Req) (
	*replication.Transition, error) {
	return ask(ctx, l, do, req, fromTransition)
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

// Start implements [replication.Backend].
func (c *Client) Start(ctx context.Context, req replication.StartRequest) error {
	return tell(ctx, c.link, c.rpc.Start, &replicationv1.StartRequest{Role: string(req.Role), ClusterId: req.ClusterID,
		Contested: req.Contested})
}

func (s *backendServer) Start(ctx context.Context, req *replicationv1.StartRequest) (*replicationv1.StartResponse,
	error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.StartResponse, error) {
		return &replicationv1.StartResponse{},
			b.Start(ctx, replication.StartRequest{Role: replication.Role(req.GetRole()), ClusterID: req.GetClusterId(),
				Contested: req.GetContested()})
	})
}

// Stop implements [replication.Backend].
func (c *Client) Stop(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Stop, &replicationv1.StopRequest{})
}

func (s *backendServer) Stop(ctx context.Context, _ *replicationv1.StopRequest) (*replicationv1.StopResponse, error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.StopResponse, error) {
		return &replicationv1.StopResponse{}, b.Stop(ctx)
	})
}

// Status implements [replication.Backend].
func (c *Client) Status(ctx context.Context) (*replication.Status, error) {
	return ask(ctx, c.link, c.rpc.Status, &replicationv1.StatusRequest{}, fromStatusResponse)
}

func (s *backendServer) Status(ctx context.Context, _ *replicationv1.StatusRequest) (*replicationv1.StatusResponse,
	error) {
	return answer(s, "status", toStatusResponse, func(b replication.Backend) (*replication.Status, error) {
		return b.Status(ctx)
	})
}

// EnablePrimary implements [replication.Backend].
func (c *Client) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.EnablePrimary,
		&replicationv1.EnablePrimaryRequest{PrimaryClusterAddr: req.PrimaryClusterAddr})
}

func (s *backendServer) EnablePrimary(ctx context.Context, req *replicationv1.EnablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: req.GetPrimaryClusterAddr()})
	})
}

// DemotePrimary implements [replication.Backend].
func (c *Client) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DemotePrimary, &replicationv1.DemotePrimaryRequest{})
}

func (s *backendServer) DemotePrimary(ctx context.Context, _ *replicationv1.DemotePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DemotePrimary(ctx)
	})
}

// DisablePrimary implements [replication.Backend].
func (c *Client) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DisablePrimary, &replicationv1.DisablePrimaryRequest{})
}

func (s *backendServer) DisablePrimary(ctx context.Context, _ *replicationv1.DisablePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DisablePrimary(ctx)
	})
}

// SecondaryToken implements [replication.Backend].
func (c *Client) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	return ask(ctx, c.link, c.rpc.SecondaryToken, &replicationv1.SecondaryTokenRequest{Id: req.ID}, fromSecondaryToken)
}

func (s *backendServer) SecondaryToken(ctx context.Context, req *replicationv1.SecondaryTokenRequest) (
	*replicationv1.SecondaryTokenResponse, error) {
	return answer(s, "activation bundle", toSecondaryToken,
		func(b replication.Backend) (*replication.SecondaryTokenResponse, error) {
			return b.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: req.GetId()})
		})
}

// RevokeSecondary implements [replication.Backend].
func (c *Client) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	return tell(ctx, c.link, c.rpc.RevokeSecondary, &replicationv1.RevokeSecondaryRequest{Id: req.ID})
}

func (s *backendServer) RevokeSecondary(ctx context.Context, req *replicationv1.RevokeSecondaryRequest) (
	*replicationv1.RevokeSecondaryResponse, error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.RevokeSecondaryResponse, error) {
		return &replicationv1.RevokeSecondaryResponse{},
			b.RevokeSecondary(ctx, replication.RevokeSecondaryRequest{ID: req.GetId()})
	})
}

// EnableSecondary implements [replication.Backend].
func (c *Client) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.EnableSecondary, &replicationv1.EnableSecondaryRequest{Bundle: req.Bundle,
		Id: req.ID, Challenge: req.Challenge})
}

func (s *backendServer) EnableSecondary(ctx context.Context, req *replicationv1.EnableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.EnableSecondary(ctx, replication.EnableSecondaryRequest{Bundle: req.GetBundle(), ID: req.GetId(),
			Challenge: req.GetChallenge()})
	})
}

// PromoteSecondary implements [replication.Backend].
func (c *Client) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (
	*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.PromoteSecondary,
		&replicationv1.PromoteSecondaryRequest{PrimaryClusterAddr: req.PrimaryClusterAddr, Force: req.Force})
}

func (s *backendServer) PromoteSecondary(ctx context.Context, req *replicationv1.PromoteSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.PromoteSecondary(ctx, replication.PromoteSecondaryRequest{PrimaryClusterAddr: req.GetPrimaryClusterAddr(),
			Force: req.GetForce()})
	})
}

// DisableSecondary implements [replication.Backend].
func (c *Client) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	return transition(ctx, c.link, c.rpc.DisableSecondary, &replicationv1.DisableSecondaryRequest{})
}

func (s *backendServer) DisableSecondary(ctx context.Context, _ *replicationv1.DisableSecondaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.DisableSecondary(ctx)
	})
}

// UpdatePrimary implements [replication.Backend].
func (c *Client) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	return transition(ctx, c.link, c.rpc.UpdatePrimary, &replicationv1.UpdatePrimaryRequest{Bundle: req.Bundle, Id: req.ID,
		Addrs: req.Addrs, Challenge: req.Challenge})
}

func (s *backendServer) UpdatePrimary(ctx context.Context, req *replicationv1.UpdatePrimaryRequest) (
	*replicationv1.TransitionResponse, error) {
	return answerTransition(s, func(b replication.Backend) (*replication.Transition, error) {
		return b.UpdatePrimary(ctx, replication.UpdatePrimaryRequest{Bundle: req.GetBundle(), ID: req.GetId(),
			Addrs: req.GetAddrs(), Challenge: req.GetChallenge()})
	})
}

// Recover implements [replication.Backend].
func (c *Client) Recover(ctx context.Context) error {
	return tell(ctx, c.link, c.rpc.Recover, &replicationv1.RecoverRequest{})
}

func (s *backendServer) Recover(ctx context.Context, _ *replicationv1.RecoverRequest) (*replicationv1.RecoverResponse,
	error) {
	return answer(s, "answer", as, func(b replication.Backend) (*replicationv1.RecoverResponse, error) {
		return &replicationv1.RecoverResponse{}, b.Recover(ctx)
	})
}
