// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/vault"
)

// StoredTable reads a table of mounts as it is stored, hidden entries included;
// nil when there is none.
func (b Barrier) StoredTable(ctx context.Context, key string) (*vault.MountTable, error) {
	raw, err := b.GetEntry(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read of the mount table %s: %w", key, err)
	}
	if raw == nil {
		return nil, nil
	}
	table, err := b.core.DecodeMountTable(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("decoding of the mount table %s: %w", key, err)
	}
	return table, nil
}

// OpenTable decrypts and reads a table of mounts that is on its way to storage.
func (b Barrier) OpenTable(ctx context.Context, key string, value []byte) (*vault.MountTable, error) {
	raw, err := b.Decrypt(ctx, key, value)
	if err != nil {
		return nil, fmt.Errorf("decryption of the mount table %s: %w", key, err)
	}
	table, err := b.core.DecodeMountTable(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("decoding of the mount table %s: %w", key, err)
	}
	return table, nil
}
