// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/api/gate"
	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// State implements [gate.Node]. It is asked for each request and takes no lock
// that a request holds.
func (c *Controller) State() gate.State {
	_, err := c.active()
	return gate.State{
		Sealed:        c.core.Sealed(),
		DRSecondary:   c.servesNothing(),
		Bootstrapping: c.bootstrapping.Load(),
		Active:        err == nil,
	}
}

// Shares verifies key shares for the DR operation token.
type Shares struct{ Core *vaultcore.Core }

// Threshold implements operationtoken.Keys.
func (s Shares) Threshold(ctx context.Context) (shares, required int, err error) {
	return s.Core.ShareConfig(ctx)
}

// Verify implements operationtoken.Keys.
func (s Shares) Verify(ctx context.Context, combined []byte) error {
	return s.Core.VerifyShares(ctx, combined)
}

// operationTokenKey is where the hash of the DR operation token is kept.
const operationTokenKey = recordPrefix + "dr-operation-token"

// TokenStore keeps the record of the DR operation token.
type TokenStore struct{ Core *vaultcore.Core }

// Get implements operationtoken.Store.
func (s TokenStore) Get(ctx context.Context) ([]byte, error) {
	return s.Core.GetEntry(ctx, operationTokenKey)
}

// Put implements operationtoken.Store.
func (s TokenStore) Put(ctx context.Context, record []byte) error {
	return s.Core.PutEntry(ctx, operationTokenKey, record)
}

// Delete implements operationtoken.Store.
func (s TokenStore) Delete(ctx context.Context) error {
	return s.Core.DeleteEntry(ctx, operationTokenKey)
}

// BatchTokens decides on batch tokens that were made on the primary.
type BatchTokens struct{ Core *vaultcore.Core }

// Allowed implements operationtoken.BatchTokens.
func (b BatchTokens) Allowed(ctx context.Context, token string, use *logical.Request) error {
	err := b.Core.AllowBatchToken(ctx, token, use, operationtoken.InsideCore(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vaultcore.ErrNotOrphan), errors.Is(err, vaultcore.ErrTokenPolicy),
		errors.Is(err, vaultcore.ErrNoBatchToken), errors.Is(err, vaultcore.ErrTokenExpired),
		errors.Is(err, vaultcore.ErrTokenAddress):
		return replication.Errorf(replication.Denied, "the dr_operation_token is refused: %w", err)
	default:
		return err
	}
}
