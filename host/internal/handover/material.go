// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

var stored = strictjson.Record{Name: "the key material", Version: 1, Open: true}

// sharesMax is how many shares a key can be split into.
const sharesMax = 255

// tablesMax bounds the tables in the material, in bytes: together with the rest
// they must fit one storage transaction, which raft bounds by max_entry_size
// (1 MiB unless configured).
const tablesMax = 768 << 10

// Material is what makes a cluster a secondary of another. It holds the keys to
// everything: it exists in memory, sealed on the wire, and never in storage.
type Material struct {
	Version int
	// VaultVersion is the primary's. A secondary refuses a primary that is newer.
	VaultVersion string
	// Storage has the limits of the primary's storage. It is nil if the primary does not send them.
	Storage *unstorable.Limits
	// SetID is the id of the replication set; Epoch the present one.
	SetID string
	Epoch replication.Epoch
	// History says where the histories before Epoch ended. It is empty if the primary does not send it, or if nobody was
	// promoted yet.
	History history.History
	// IndexKey keys the fingerprints of the set.
	IndexKey []byte
	// RootKey opens the keyring in Rows.
	RootKey []byte
	// Shares is the key that the primary's unseal or recovery shares combine to,
	// and ShareConfig how it was split.
	Shares      []byte
	ShareConfig ShareConfig
	// Rows are storage rows as the primary has them (ciphertext).
	Rows map[string][]byte
}

// ShareConfig is how the key of [Material.Shares] was split.
type ShareConfig struct {
	Shares, Threshold int
}

func (m *Material) encode() ([]byte, error) {
	m.Version = stored.Version
	return json.Marshal(m)
}

func decode(b []byte) (*Material, error) {
	var m Material
	if err := stored.Decode(b, &m); err != nil {
		if errors.As(err, new(*strictjson.VersionError)) {
			return nil, fmt.Errorf("%w: upgrade the secondary first, then the primary", err)
		}
		return nil, err
	}
	switch {
	case len(m.RootKey) == 0 || len(m.Rows[vaultname.Keyring]) == 0:
		return nil, errors.New("the key material has no keyring")
	case len(m.IndexKey) != 32 || m.SetID == "" || m.Epoch.IsZero():
		return nil, errors.New("the key material does not name its replication set")
	case m.ShareConfig.Shares < 0 || m.ShareConfig.Shares > sharesMax || m.ShareConfig.Threshold < 0 ||
		m.ShareConfig.Threshold > m.ShareConfig.Shares:
		return nil, fmt.Errorf("the key material needs %d of %d key shares, which cannot be", m.ShareConfig.Threshold,
			m.ShareConfig.Shares)
	case m.ShareConfig.Shares > 0 && len(m.Shares) == 0:
		return nil, errors.New("the key material has no key for its shares")
	}
	for key := range m.Rows {
		if !slices.Contains(startRows, key) && !strings.HasPrefix(key, vaultname.ReplicationFilters) {
			return nil, fmt.Errorf("the key material holds the row %q, which is not part of a handover", key)
		}
	}
	return &m, nil
}

// AddFilter adds the paths filter at a key, if there is one.
func (m *Material) AddFilter(ctx context.Context, store physical.Backend, key string) error {
	e, err := store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read of %s: %w", key, err)
	}
	if e != nil {
		m.Rows[key] = e.Value
	}
	return nil
}

// Wipe clears the keys.
func (m *Material) Wipe() {
	clear(m.RootKey)
	clear(m.Shares)
	clear(m.IndexKey)
}
