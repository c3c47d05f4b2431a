// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"context"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// facade passes each call to the process that runs at the time.
type facade struct{ s *Supervisor }

var _ replication.Backend = facade{}

// pass makes a call of the process that runs now.
func pass[Req, Res any](ctx context.Context, f facade,
	call func(replication.Backend, context.Context, Req) (*Res, error), req Req) (*Res, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return call(b, ctx, req)
}

// bare is for a call that has no request.
func bare[Res any](call func(replication.Backend, context.Context) (*Res, error)) func(replication.Backend,
	context.Context, nothing) (*Res, error) {
	return func(b replication.Backend, ctx context.Context, _ nothing) (*Res, error) { return call(b, ctx) }
}

type nothing struct{}

// order makes a call that answers with nothing but an error.
func (f facade) order(call func(replication.Backend) error) error {
	b, err := f.s.current()
	if err != nil {
		return err
	}
	return call(b)
}

func (f facade) Start(ctx context.Context, req replication.StartRequest) error {
	return f.order(func(b replication.Backend) error { return b.Start(ctx, req) })
}

func (f facade) Stop(ctx context.Context) error {
	return f.order(func(b replication.Backend) error { return b.Stop(ctx) })
}

func (f facade) Status(ctx context.Context) (*replication.Status, error) {
	return pass(ctx, f, bare(replication.Backend.Status), nothing{})
}

func (f facade) ServeConn(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
	b, err := f.s.current()
	if err != nil {
		conn.Close()
		return err
	}
	return b.ServeConn(ctx, conn, peer)
}

func (f facade) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	return pass(ctx, f, replication.Backend.EnablePrimary, req)
}

func (f facade) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	return pass(ctx, f, bare(replication.Backend.DemotePrimary), nothing{})
}

func (f facade) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	return pass(ctx, f, bare(replication.Backend.DisablePrimary), nothing{})
}

func (f facade) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	return pass(ctx, f, replication.Backend.SecondaryToken, req)
}

func (f facade) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	return f.order(func(b replication.Backend) error { return b.RevokeSecondary(ctx, req) })
}

func (f facade) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	return pass(ctx, f, replication.Backend.EnableSecondary, req)
}

func (f facade) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (*replication.Transition,
	error) {
	return pass(ctx, f, replication.Backend.PromoteSecondary, req)
}

func (f facade) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	return pass(ctx, f, bare(replication.Backend.DisableSecondary), nothing{})
}

func (f facade) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	return pass(ctx, f, replication.Backend.UpdatePrimary, req)
}

func (f facade) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
	return pass(ctx, f, replication.Backend.Forward, req)
}

func (f facade) Recover(ctx context.Context) error {
	return f.order(func(b replication.Backend) error { return b.Recover(ctx) })
}
