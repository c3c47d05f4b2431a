// SPDX-License-Identifier: MPL-2.0

package node

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/api/operationtoken"
	"github.com/vault-replication/vault-replication/host/internal/role"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// shares verifies key shares for the DR operation token.
type shares struct{ core *vaultcore.Core }

// Threshold implements operationtoken.Keys.
func (s shares) Threshold(ctx context.Context) (shares, required int, err error) {
	return s.core.ShareConfig(ctx)
}

// Verify implements operationtoken.Keys.
func (s shares) Verify(ctx context.Context, combined []byte) error {
	return s.core.VerifyShares(ctx, combined)
}

// tokenStore keeps the record of the DR operation token.
type tokenStore struct{ core *vaultcore.Core }

// Get implements operationtoken.Store.
func (s tokenStore) Get(ctx context.Context) ([]byte, error) {
	return s.core.GetEntry(ctx, role.OperationTokenKey)
}

// Put implements operationtoken.Store.
func (s tokenStore) Put(ctx context.Context, record []byte) error {
	return s.core.PutEntry(ctx, role.OperationTokenKey, record)
}

// Delete implements operationtoken.Store.
func (s tokenStore) Delete(ctx context.Context) error {
	return s.core.DeleteEntry(ctx, role.OperationTokenKey)
}

// batchTokens decides on batch tokens that were made on the primary.
type batchTokens struct{ core *vaultcore.Core }

// Allowed implements operationtoken.BatchTokens.
func (b batchTokens) Allowed(ctx context.Context, token string, use *logical.Request) error {
	err := b.core.AllowBatchToken(ctx, token, use, operationtoken.InsideCore(ctx))
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
