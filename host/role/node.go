// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/api/gate"
	"github.com/vault-replication/vault-replication/host/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// State implements [gate.Node]. It is asked for each request and takes no lock
// that a request holds.
func (c *Controller) State() gate.State {
	_, err := c.active()
	return gate.State{
		Sealed:        c.core.Sealed(),
		DRSecondary:   c.IsDRSecondary(),
		Bootstrapping: c.bootstrapping.Load(),
		Active:        err == nil,
	}
}

// Shares verifies key shares for the DR operation token.
type Shares struct{ core *vaultcore.Core }

// Shares returns the verification of key shares.
func (c *Controller) Shares() Shares { return Shares{c.core} }

// Threshold implements operationtoken.Keys.
func (s Shares) Threshold(ctx context.Context) (shares, required int, err error) {
	return s.core.ShareConfig(ctx)
}

// Verify implements operationtoken.Keys.
func (s Shares) Verify(ctx context.Context, combined []byte) error {
	return s.core.VerifyShares(ctx, combined)
}

// operationTokenKey is where the hash of the DR operation token is kept.
const operationTokenKey = recordPrefix + "dr-operation-token"

// TokenStore keeps the record of the DR operation token.
type TokenStore struct{ core *vaultcore.Core }

// TokenStore returns the store of the DR operation token.
func (c *Controller) TokenStore() TokenStore { return TokenStore{c.core} }

// Get implements operationtoken.Store.
func (s TokenStore) Get(ctx context.Context) ([]byte, error) {
	return s.core.GetEntry(ctx, operationTokenKey)
}

// Put implements operationtoken.Store.
func (s TokenStore) Put(ctx context.Context, record []byte) error {
	return s.core.PutEntry(ctx, operationTokenKey, record)
}

// Delete implements operationtoken.Store.
func (s TokenStore) Delete(ctx context.Context) error {
	return s.core.DeleteEntry(ctx, operationTokenKey)
}

// BatchTokens decides on batch tokens that were made on the primary.
type BatchTokens struct{ core *vaultcore.Core }

// BatchTokens returns the check of batch tokens.
func (c *Controller) BatchTokens() BatchTokens { return BatchTokens{c.core} }

// Allowed implements operationtoken.BatchTokens.
func (b BatchTokens) Allowed(ctx context.Context, token string, use *logical.Request) error {
	err := b.core.AllowBatchToken(ctx, token, use, operationtoken.InsideCore(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vaultcore.ErrNotOrphan), errors.Is(err, vaultcore.ErrTokenPolicy),
		errors.Is(err, vaultcore.ErrNoBatchToken), errors.Is(err, vaultcore.ErrTokenExpired), errors.Is(err, vaultcore.ErrTokenAddress):
		return replication.Errorf(replication.Denied, "the dr_operation_token is refused: %w", err)
	default:
		return err
	}
}
