// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
	aeadwrapper "github.com/hashicorp/go-kms-wrapping/wrappers/aead/v2"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	vaultseal "github.com/hashicorp/vault/vault/seal"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// ownEncrypted are this cluster's own rows that its keyring encrypts. They are carried over
// and encrypted under the new keyring. Without the first a raft node does not start.
// Without the third the cluster gets a new identity.
var ownEncrypted = []string{
	vaultname.RaftTLS,
	vaultname.AutopilotConfig,
	vaultname.ClusterInfo,
}

// ownRemade are prefixes of rows that the core makes again.
var ownRemade = []string{
	vaultname.Leader,
	vaultname.Versions,
	vaultname.AutopilotState,
	vaultname.RecoverySealConfig,
}

// Adoption is what makes a cluster a secondary: rows and keys.
type Adoption struct {
	// Rows to write in one step.
	Rows []onestep.Row
	// RootKey unseals the cluster once the rows are written.
	RootKey []byte
	// shamirKey is the key encryption key of a Shamir seal.
	shamirKey []byte
}

// Prepare makes the rows and changes nothing. Records are further rows of the host, to be
// encrypted under the new keyring; nil deletes one. Store is the storage as the core sees
// it.
func Prepare(ctx context.Context, core *vaultcore.Core, store physical.Backend, m *Material, records map[string][]byte,
	logger hclog.Logger) (*Adoption, error) {
	return prepare(ctx, core, store, m, records, false, logger)
}

// PrepareKeys is Prepare for a cluster that is already a secondary of the primary and lacks
// only its keys. It keeps the tables that these keys open, because they are what it has
// applied.
func PrepareKeys(ctx context.Context, core *vaultcore.Core, store physical.Backend, m *Material,
	records map[string][]byte, logger hclog.Logger) (*Adoption, error) {
	return prepare(ctx, core, store, m, records, true, logger)
}

func prepare(ctx context.Context, core *vaultcore.Core, store physical.Backend, m *Material, records map[string][]byte,
	keep bool, logger hclog.Logger) (*Adoption, error) {
	overlay := newOverlay(store)
	for _, key := range startRows[:2] {
		overlay.set(key, m.Rows[key])
	}
	barrier, err := vault.NewAESGCMBarrier(overlay, false)
	if err != nil {
		return nil, err
	}
	if err := barrier.Unseal(ctx, m.RootKey); err != nil {
		return nil, fmt.Errorf("the primary's root key does not open its keyring: %w", err)
	}
	defer func() { _ = barrier.Seal() }()
	for _, key := range startRows[2:] {
		if keep {
			if _, err := barrier.Get(ctx, key); err == nil {
				continue
			}
		}
		// A key that the primary does not have must not be read from the old cluster.
		overlay.set(key, m.Rows[key])
		if _, err := barrier.Get(ctx, key); err != nil {
			return nil, fmt.Errorf("the primary's row %s does not decrypt: %w", key, err)
		}
	}
	for key, value := range m.Rows {
		if !keep && strings.HasPrefix(key, vaultname.ReplicationFilters) {
			overlay.set(key, value)
		}
	}
	for _, key := range ownEncrypted {
		plain, err := core.GetEntry(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of own row %s: %w", key, err)
		}
		if plain == nil {
			continue
		}
		if err := barrier.Put(ctx, &logical.StorageEntry{Key: key, Value: plain}); err != nil {
			return nil, err
		}
	}
	for key, value := range records {
		if value == nil {
			overlay.set(key, nil)
		} else if err := barrier.Put(ctx, &logical.StorageEntry{Key: key, Value: value}); err != nil {
			return nil, err
		}
	}
	for _, prefix := range ownRemade {
		if err := overlay.remove(ctx, prefix); err != nil {
			return nil, err
		}
	}
	a := &Adoption{RootKey: append([]byte(nil), m.RootKey...)}
	if err := a.sealRows(ctx, core, barrier, overlay, m, logger); err != nil {
		return nil, err
	}
	a.Rows = overlay.rows
	return a, nil
}

// sealRows applies the seal rules.
func (a *Adoption) sealRows(ctx context.Context, core *vaultcore.Core, barrier *vault.AESGCMBarrier, overlay *overlay,
	m *Material, logger hclog.Logger) error {
	own := core.Seal()
	switch own.StoredKeysSupported() {
	case vaultseal.StoredKeysSupportedShamirRoot:
		if len(m.Shares) == 0 {
			return errors.New("the primary has no recovery shares and this cluster is unsealed by shares: give this cluster " +
				"an auto-unseal seal, or the primary recovery shares")
		}
		access, err := vaultseal.NewAccessFromWrapper(logger, aeadwrapper.NewShamirWrapper(),
			vault.SealConfigTypeShamir.String())
		if err != nil {
			return err
		}
		if err := access.SetShamirSealKey(m.Shares); err != nil {
			return err
		}
		if err := overlay.storedKeys(ctx, access, m.RootKey); err != nil {
			return err
		}
		if err := barrier.Put(ctx, &logical.StorageEntry{Key: vaultname.ShamirKey, Value: m.Shares}); err != nil {
			return err
		}
		a.shamirKey = append([]byte(nil), m.Shares...)
		return overlay.config(vaultname.SealConfig, vault.SealConfigTypeShamir.String(), m.ShareConfig, 1)
	case vaultseal.StoredKeysSupportedGeneric:
		overlay.set(vaultname.ShamirKey, nil)
		access := own.GetAccess()
		if err := overlay.storedKeys(ctx, access, m.RootKey); err != nil {
			return fmt.Errorf("the auto-unseal seal of this cluster cannot encrypt: %w", err)
		}
		if len(m.Shares) == 0 {
			overlay.set(vaultname.RecoveryKey, nil)
			overlay.set(vaultname.RecoveryConfig, nil)
			return nil
		}
		entry, err := vault.SealWrapRecoveryKey(ctx, access, m.Shares)
		if err != nil {
			return err
		}
		overlay.set(entry.Key, entry.Value)
		return overlay.config(vaultname.RecoveryConfig, own.RecoverySealConfigType().String(), m.ShareConfig, 0)
	default:
		return errors.New("this cluster has a seal of before Vault 1.3 without a stored root key: rekey it once, then " +
			"enable it as a secondary")
	}
}

// Take gives the core's seal its new keys, after the rows are written and before the core
// is unsealed.
func (a *Adoption) Take(ctx context.Context, core *vaultcore.Core) error {
	seal := core.Seal()
	_ = seal.ClearBarrierConfig(ctx)
	if a.shamirKey == nil {
		seal.SetCachedRecoveryConfig(nil)
		return nil
	}
	// The seal keeps this slice, and Wipe clears ours.
	return seal.GetAccess().SetShamirSealKey(bytes.Clone(a.shamirKey))
}

// Wipe clears the keys.
func (a *Adoption) Wipe() {
	clear(a.RootKey)
	clear(a.shamirKey)
}

// overlay is a storage whose writes stay in memory, over one that is only read.
type overlay struct {
	physical.Backend
	rows  []onestep.Row
	index map[string]int
}

func newOverlay(under physical.Backend) *overlay {
	return &overlay{Backend: under, index: map[string]int{}}
}

func (o *overlay) set(key string, value []byte) {
	if i, ok := o.index[key]; ok {
		o.rows[i].Value = value
		return
	}
	o.index[key] = len(o.rows)
	o.rows = append(o.rows, onestep.Row{Key: key, Value: value})
}

// remove deletes a key, or all below a prefix that ends in a slash.
func (o *overlay) remove(ctx context.Context, key string) error {
	if !strings.HasSuffix(key, "/") {
		o.set(key, nil)
		return nil
	}
	names, err := o.Backend.List(ctx, key)
	if err != nil {
		return fmt.Errorf("list of %s: %w", key, err)
	}
	for _, name := range names {
		if err := o.remove(ctx, key+name); err != nil {
			return err
		}
	}
	return nil
}

func (o *overlay) storedKeys(ctx context.Context, access vaultseal.Access, root []byte) error {
	entry, err := vault.SealWrapStoredBarrierKeys(ctx, access, [][]byte{root})
	if err != nil {
		return err
	}
	o.set(entry.Key, entry.Value)
	return nil
}

func (o *overlay) config(key, typ string, shares ShareConfig, stored int) error {
	raw, err := json.Marshal(&vault.SealConfig{
		Type:            typ,
		SecretShares:    shares.Shares,
		SecretThreshold: shares.Threshold,
		StoredShares:    stored,
	})
	if err != nil {
		return err
	}
	o.set(key, raw)
	return nil
}

func (o *overlay) Put(_ context.Context, e *physical.Entry) error {
	o.set(e.Key, append([]byte(nil), e.Value...))
	return nil
}

func (o *overlay) Delete(_ context.Context, key string) error {
	o.set(key, nil)
	return nil
}

func (o *overlay) Get(ctx context.Context, key string) (*physical.Entry, error) {
	if i, ok := o.index[key]; ok {
		if o.rows[i].Value == nil {
			return nil, nil
		}
		return &physical.Entry{Key: key, Value: o.rows[i].Value}, nil
	}
	return o.Backend.Get(ctx, key)
}
