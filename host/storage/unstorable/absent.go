// SPDX-License-Identifier: MPL-2.0

package unstorable

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"
)

// Absent is a storage in which what cannot be there is not there. File storage fails
// to read, list or delete what has a name that it could never have; whoever settles a
// write that failed, or applies a deletion, needs the answer.
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
