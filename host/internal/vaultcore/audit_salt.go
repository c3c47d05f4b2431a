// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
)

// auditSalt is where an audit device has its salt. Vault makes a salt that is missing with the first entry, and it
// cannot do so here: the view of a device that was there at the unseal stays read-only, and a secondary may not write
// that of its primary. So a salt that is missing is made when it is read, with all that may refuse it but the view.
type auditSalt struct {
	logical.Storage
	prefix string
	core   *Core
}

// errNoAuditSalt is for a device of the primary, until its salt has arrived.
var errNoAuditSalt = errors.New("the salt of this audit device is made by the primary and has not arrived yet")

// withAuditSalt is the storage that a device gets, in place of its view.
func (c *Core) withAuditSalt(view logical.Storage) logical.Storage {
	if v, ok := view.(interface{ Prefix() string }); ok {
		return auditSalt{view, v.Prefix(), c}
	}
	return view
}

// Get reads the salt, or makes it.
func (s auditSalt) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	entry, err := s.Storage.Get(ctx, key)
	if err != nil || entry != nil {
		return entry, err
	}
	made, err := uuid.GenerateUUID()
	if err != nil {
		return nil, err
	}
	err = s.core.PutEntry(ctx, s.prefix+key, []byte(made))
	switch {
	case errors.Is(err, logical.ErrReadOnly):
		return nil, errNoAuditSalt
	case err != nil:
		return nil, fmt.Errorf("a salt of this audit device cannot be stored: %w", err)
	}
	return &logical.StorageEntry{Key: key, Value: []byte(made)}, nil
}
