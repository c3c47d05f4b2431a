// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"context"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// facade passes each call to the process that runs then.
type facade struct{ s *Supervisor }

var _ replication.Backend = facade{}

func (f facade) Start(ctx context.Context, req replication.StartRequest) error {
	b, err := f.s.current()
	if err != nil {
		return err
	}
	return b.Start(ctx, req)
}

func (f facade) Stop(ctx context.Context) error {
	b, err := f.s.current()
	if err != nil {
		return err
	}
	return b.Stop(ctx)
}

func (f facade) Status(ctx context.Context) (*replication.Status, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.Status(ctx)
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
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.EnablePrimary(ctx, req)
}

func (f facade) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.DemotePrimary(ctx)
}

func (f facade) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.DisablePrimary(ctx)
}

func (f facade) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.SecondaryToken(ctx, req)
}

func (f facade) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	b, err := f.s.current()
	if err != nil {
		return err
	}
	return b.RevokeSecondary(ctx, req)
}

func (f facade) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.EnableSecondary(ctx, req)
}

func (f facade) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (*replication.Transition,
	error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.PromoteSecondary(ctx, req)
}

func (f facade) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.DisableSecondary(ctx)
}

func (f facade) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.UpdatePrimary(ctx, req)
}

func (f facade) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
	b, err := f.s.current()
	if err != nil {
		return nil, err
	}
	return b.Forward(ctx, req)
}

func (f facade) Recover(ctx context.Context) error {
	b, err := f.s.current()
	if err != nil {
		return err
	}
	return b.Recover(ctx)
}
