// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Backend is a fake plugin. Of its calls it has those that tests of a transport make, and each calls the function of
// its name. The others panic. The fields are set before first use.
type Backend struct {
	replication.Backend

	StopFunc    func(ctx context.Context) error
	ForwardFunc func(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error)
}

// Stop implements [replication.Backend]. Every plugin is stopped at its end.
func (fake *Backend) Stop(ctx context.Context) error {
	if fake.StopFunc == nil {
		return nil
	}
	return fake.StopFunc(ctx)
}

// Forward implements [replication.Backend].
func (fake *Backend) Forward(ctx context.Context, req replication.ForwardRequest) (
	*replication.ForwardResponse, error) {
	return fake.ForwardFunc(ctx, req)
}
