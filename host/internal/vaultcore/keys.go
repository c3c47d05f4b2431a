// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Seal is the core's seal.
func (c *Core) Seal() vault.Seal { return *pinned.Field[vault.Seal](c.Core, "seal") }

// VerifyShares says whether the combined key shares are those of this cluster:
// unseal shares with a Shamir seal, recovery shares with an auto-unseal one.
func (c *Core) VerifyShares(ctx context.Context, combined []byte) error {
	return pinned.WithState(c.Core, func() error {
		root, err := pinned.UnsealKeyToRootKeyPostUnseal(c.Core, ctx, combined)
		if err != nil {
			return fmt.Errorf("unable to authenticate: %w", err)
		}
		defer clear(root)
		return c.VerifyRootKey(root)
	})
}

// ShareConfig is how many key shares there are and how many are needed: of the
// unseal key with a Shamir seal, of the recovery key otherwise.
func (c *Core) ShareConfig(ctx context.Context) (shares, threshold int, err error) {
	seal := c.Seal()
	var conf *vault.SealConfig
	if seal.RecoveryKeySupported() {
		conf, err = seal.RecoveryConfig(ctx)
	} else {
		conf, err = seal.BarrierConfig(ctx)
	}
	if err != nil {
		return 0, 0, err
	}
	if conf == nil {
		return 0, 0, errors.New("this cluster has no key shares")
	}
	return conf.SecretShares, conf.SecretThreshold, nil
}
