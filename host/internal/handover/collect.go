// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	vaultseal "github.com/hashicorp/vault/vault/seal"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// startRows are the rows that a core reads at unseal and does not start
// without. Everything else arrives by the copy that follows.
var startRows = []string{
	vaultname.Keyring,
	vaultname.RootKey,
	vaultname.Mounts,
	vaultname.LocalMounts,
	vaultname.Auth,
	vaultname.LocalAuth,
	vaultname.Audit,
	vaultname.LocalAudit,
	vaultname.WrappingKey,
	vaultname.IndexHeaderKey,
}

// Collect reads the material of this cluster, the primary, for a secondary of a mode. The
// caller fills in the identity of the set.
func Collect(ctx context.Context, core *vaultcore.Core, store physical.Backend, mode replication.Mode) (*Material,
	error) {
	m := &Material{Rows: map[string][]byte{}}
	size := 0
	var classes keyclass.Classifier
	for _, key := range startRows {
		// A performance secondary does not get what is local to this cluster.
		if !classes.Replicated(mode, key) {
			continue
		}
		e, err := store.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of %s: %w", key, err)
		}
		if e == nil {
			continue
		}
		m.Rows[key] = e.Value
		size += len(key) + len(e.Value)
	}
	if size > tablesMax {
		return nil, fmt.Errorf("the mount tables have %d bytes, more than the %d that a secondary can take over in one step",
			size, tablesMax)
	}
	var err error
	if m.RootKey, err = core.RootKey(); err != nil {
		return nil, err
	}
	if err := collectShares(ctx, core, m); err != nil {
		m.Wipe()
		return nil, err
	}
	return m, nil
}

// unsealKey is the key that encrypts the root key of a cluster with a Shamir seal. The seal
// has the key that it was opened with. Vault keeps the key behind the barrier too, and
// writes it there last: a rekey that was cut leaves an older one there.
func unsealKey(ctx context.Context, core *vaultcore.Core, seal vault.Seal) ([]byte, error) {
	if roots, err := seal.GetStoredKeys(ctx); err == nil {
		for _, root := range roots {
			clear(root)
		}
		return seal.GetAccess().GetShamirKeyBytes(ctx)
	}
	key, err := core.GetEntry(ctx, vaultname.ShamirKey)
	if err == nil && key == nil {
		err = errors.New("there is none")
	}
	return key, err
}

// collectShares reads the key that the holders of the primary's shares can
// combine: with a Shamir seal the key that encrypts the root key, with an
// auto-unseal seal the recovery key.
func collectShares(ctx context.Context, core *vaultcore.Core, m *Material) error {
	seal := core.Seal()
	switch seal.StoredKeysSupported() {
	case vaultseal.StoredKeysSupportedShamirRoot:
		conf, err := seal.BarrierConfig(ctx)
		if err != nil {
			return err
		}
		if conf == nil {
			return errors.New("this cluster has no seal configuration")
		}
		key, err := unsealKey(ctx, core, seal)
		if err != nil {
			return fmt.Errorf("read of the unseal key: %w", err)
		}
		m.Shares = append([]byte(nil), key...)
		m.ShareConfig = ShareConfig{Shares: conf.SecretShares, Threshold: conf.SecretThreshold}
		return nil
	case vaultseal.StoredKeysSupportedGeneric:
		conf, err := seal.RecoveryConfig(ctx)
		if err != nil {
			return err
		}
		// A cluster may have been initialised without recovery shares.
		if conf == nil || conf.SecretShares == 0 {
			return nil
		}
		key, err := seal.RecoveryKey(ctx)
		if err != nil {
			if strings.Contains(err.Error(), "no recovery key") {
				return nil
			}
			return err
		}
		m.Shares = key
		m.ShareConfig = ShareConfig{Shares: conf.SecretShares, Threshold: conf.SecretThreshold}
		return nil
	default:
		return errors.New("this cluster has a seal of before Vault 1.3 without a stored root key: rekey it once, then " +
			"enable secondaries")
	}
}
