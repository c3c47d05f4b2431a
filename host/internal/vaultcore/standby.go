// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	vaultseal "github.com/hashicorp/vault/vault/seal"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// KeysReplaced makes the open barrier of a standby follow the keys in storage, which the
// active node rotates and rekeys. It says whether these are other keys, which no rotation
// or rekey of the present ones leads to: the cluster has then become a secondary, with the
// keys of its primary. It reads both rows, because a rekey writes them one after the other.
func (c *Core) KeysReplaced(ctx context.Context) (bool, error) {
	ctx = physical.CacheRefreshContext(ctx, true)
	store := *pinned.Field[physical.Backend](c.Core, "physical")
	ring, err := store.Get(ctx, vaultname.Keyring)
	if err != nil || ring == nil {
		return false, err
	}
	root, err := c.RootKey()
	if err != nil {
		return false, err
	}
	defer clear(root)
	if stored, ok := KeyringTerm(ctx, ring.Value, root); ok {
		info, err := c.barrier.inner.ActiveKeyInfo()
		// A standby that was away for long has missed the upgrade that a rotation leaves.
		// One that has come further by upgrades must not go back: a secondary that holds its
		// primary's keyring back has the upgrades without that keyring. Vault asks for
		// upgrades until there is none, and would never end.
		if err != nil || stored <= info.Term {
			return false, err
		}
		return false, c.barrier.inner.ReloadKeyring(ctx)
	}
	for more := true; more; {
		if more, _, err = c.barrier.inner.CheckUpgrade(ctx); err != nil {
			break // it may be of the other keys too
		}
	}
	row, err := store.Get(ctx, vaultname.RootKey)
	if err != nil || row == nil {
		return false, err
	}
	plain, err := c.Decrypt(ctx, vaultname.RootKey, row.Value)
	if errors.Is(err, vault.ErrBarrierSealed) {
		return false, err
	}
	if err != nil {
		return true, nil
	}
	clear(plain)
	return false, c.ReloadKeys(ctx)
}

// WhileStandby runs f if the node is an unsealed standby, and keeps it one meanwhile.
func (c *Core) WhileStandby(f func() error) error {
	return pinned.WithState(c.Core, func() error {
		if c.Sealed() || !*pinned.Field[bool](c.Core, "standby") {
			return nil
		}
		return f()
	})
}

// SealStandby seals a standby whose keys were replaced. As in Vault, raft goes on: the node
// has to vote and to receive what follows. It forgets what Vault keeps of the old keys, so
// that the new shares open the node. With auto-unseal the node opens by itself. Several
// calls may run at once.
func (c *Core) SealStandby(ctx context.Context) error {
	if err := c.sealReplaced(ctx); err != nil {
		return fmt.Errorf("seal of a standby: %w", err)
	}
	if c.Seal().StoredKeysSupported() != vaultseal.StoredKeysSupportedGeneric {
		return nil
	}
	if !c.Sealed() {
		return nil // another call was quicker
	}
	if err := c.UnsealWithStoredKeys(ctx); err != nil {
		return fmt.Errorf("unseal of a standby with the new keys: %w", err)
	}
	return nil
}

// sealReplaced seals the standby, unless another call has done so. Vault marks a core as
// sealed first and then waits for the state lock. An unseal in between would find the
// barrier open and leave it: the core would count as unsealed, and its barrier would close
// a moment later. So the lock is taken before.
func (c *Core) sealReplaced(ctx context.Context) error {
	defer c.lockState(vault.DefaultMaxRequestDuration).Unlock()
	if c.Sealed() || !*pinned.Field[bool](c.Core, "standby") {
		return nil
	}
	if replaced, err := c.KeysReplaced(ctx); err == nil && !replaced {
		return nil
	}
	// Who finds it sealed is to be asked for the new shares.
	seal := c.Seal()
	_ = seal.ClearBarrierConfig(ctx)
	if seal.RecoveryKeySupported() {
		_ = seal.ClearRecoveryConfig(ctx)
	}
	return pinned.SealInternalWithOptions(c.Core, false, false, !c.raftElects())
}
