// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"
	"net"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Backend is a fake plugin: each method calls the function of its name. A call of
// one that is not set fails as Internal. The fields are set before first use.
type Backend struct {
	StartFunc          func(ctx context.Context, req replication.StartRequest) error
	StopFunc           func(ctx context.Context) error
	StatusFunc         func(ctx context.Context) (*replication.Status, error)
	ServeConnFunc      func(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error
	EnablePrimaryFunc  func(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition, error)
	DemotePrimaryFunc  func(ctx context.Context) (*replication.Transition, error)
	DisablePrimaryFunc func(ctx context.Context) (*replication.Transition, error)
	SecondaryTokenFunc func(ctx context.Context, req replication.SecondaryTokenRequest) (
		*replication.SecondaryTokenResponse, error)
	RevokeSecondaryFunc  func(ctx context.Context, req replication.RevokeSecondaryRequest) error
	EnableSecondaryFunc  func(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition, error)
	PromoteSecondaryFunc func(ctx context.Context, req replication.PromoteSecondaryRequest) (*replication.Transition,
		error)
	DisableSecondaryFunc func(ctx context.Context) (*replication.Transition, error)
	UpdatePrimaryFunc    func(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition, error)
	RecoverFunc          func(ctx context.Context) error
	ForwardFunc          func(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error)
}

var _ replication.Backend = (*Backend)(nil)

// Start implements [replication.Backend].
func (fake *Backend) Start(ctx context.Context, req replication.StartRequest) error {
	if fake.StartFunc == nil {
		return unexpected("Start")
	}
	return fake.StartFunc(ctx, req)
}

// Stop implements [replication.Backend].
func (fake *Backend) Stop(ctx context.Context) error {
	if fake.StopFunc == nil {
		return unexpected("Stop")
	}
	return fake.StopFunc(ctx)
}

// Status implements [replication.Backend].
func (fake *Backend) Status(ctx context.Context) (*replication.Status, error) {
	if fake.StatusFunc == nil {
		return nil, unexpected("Status")
	}
	return fake.StatusFunc(ctx)
}

// ServeConn implements [replication.Backend].
func (fake *Backend) ServeConn(ctx context.Context, conn net.Conn, peer replication.PeerInfo) error {
	if fake.ServeConnFunc == nil {
		return unexpected("ServeConn")
	}
	return fake.ServeConnFunc(ctx, conn, peer)
}

// EnablePrimary implements [replication.Backend].
func (fake *Backend) EnablePrimary(ctx context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	if fake.EnablePrimaryFunc == nil {
		return nil, unexpected("EnablePrimary")
	}
	return fake.EnablePrimaryFunc(ctx, req)
}

// DemotePrimary implements [replication.Backend].
func (fake *Backend) DemotePrimary(ctx context.Context) (*replication.Transition, error) {
	if fake.DemotePrimaryFunc == nil {
		return nil, unexpected("DemotePrimary")
	}
	return fake.DemotePrimaryFunc(ctx)
}

// DisablePrimary implements [replication.Backend].
func (fake *Backend) DisablePrimary(ctx context.Context) (*replication.Transition, error) {
	if fake.DisablePrimaryFunc == nil {
		return nil, unexpected("DisablePrimary")
	}
	return fake.DisablePrimaryFunc(ctx)
}

// SecondaryToken implements [replication.Backend].
func (fake *Backend) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	if fake.SecondaryTokenFunc == nil {
		return nil, unexpected("SecondaryToken")
	}
	return fake.SecondaryTokenFunc(ctx, req)
}

// RevokeSecondary implements [replication.Backend].
func (fake *Backend) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	if fake.RevokeSecondaryFunc == nil {
		return unexpected("RevokeSecondary")
	}
	return fake.RevokeSecondaryFunc(ctx, req)
}

// EnableSecondary implements [replication.Backend].
func (fake *Backend) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (
	*replication.Transition, error) {
	if fake.EnableSecondaryFunc == nil {
		return nil, unexpected("EnableSecondary")
	}
	return fake.EnableSecondaryFunc(ctx, req)
}

// PromoteSecondary implements [replication.Backend].
func (fake *Backend) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (
	*replication.Transition, error) {
	if fake.PromoteSecondaryFunc == nil {
		return nil, unexpected("PromoteSecondary")
	}
	return fake.PromoteSecondaryFunc(ctx, req)
}

// DisableSecondary implements [replication.Backend].
func (fake *Backend) DisableSecondary(ctx context.Context) (*replication.Transition, error) {
	if fake.DisableSecondaryFunc == nil {
		return nil, unexpected("DisableSecondary")
	}
	return fake.DisableSecondaryFunc(ctx)
}

// UpdatePrimary implements [replication.Backend].
func (fake *Backend) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	if fake.UpdatePrimaryFunc == nil {
		return nil, unexpected("UpdatePrimary")
	}
	return fake.UpdatePrimaryFunc(ctx, req)
}

// Recover implements [replication.Backend].
func (fake *Backend) Recover(ctx context.Context) error {
	if fake.RecoverFunc == nil {
		return unexpected("Recover")
	}
	return fake.RecoverFunc(ctx)
}

// Forward implements [replication.Backend].
func (fake *Backend) Forward(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse,
	error) {
	if fake.ForwardFunc == nil {
		return nil, unexpected("Forward")
	}
	return fake.ForwardFunc(ctx, req)
}
