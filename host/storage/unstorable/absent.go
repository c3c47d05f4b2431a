// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"
)

// Absent is a storage in which a key with an impossible name is absent. File storage returns an error when it reads,
// lists or deletes such a key. But the settling of a failed write and the apply of a deletion need an answer.
func Absent(inner physical.Backend) physical.Backend {
	if txn, ok := inner.(physical.TransactionalBackend); ok {
		return &absentTxn{absent{inner}, txn}
	}
	return &absent{inner}
}

type absent struct{ physical.Backend }

type absentTxn struct {
	absent
	physical.Transactional
}

func (a *absent) Get(ctx context.Context, key string) (*physical.Entry, error) {
	e, err := a.Backend.Get(ctx, key)
	if Permanent(err) {
		return nil, nil
	}
	return e, err
}

func (a *absent) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := a.Backend.List(ctx, prefix)
	if Permanent(err) {
		return nil, nil
	}
	return names, err
}

func (a *absent) Delete(ctx context.Context, key string) error {
	err := a.Backend.Delete(ctx, key)
	if Permanent(err) {
		return nil
	}
	return err
}
