// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// canonicalKeys is for storage that takes several keys for one, as file storage
// does: it joins key and directory as paths, so "crls//x", which the PKI engine
// writes, is "crls/x" there. The tap must see such keys as the storage does, or
// it would count one row twice.
type canonicalKeys struct{ physical.Backend }

func (c canonicalKeys) Put(ctx context.Context, e *physical.Entry) error {
	if key := keyclass.Canonical(e.Key); key != e.Key {
		same := *e
		same.Key = key
		e = &same
	}
	return c.Backend.Put(ctx, e)
}

func (c canonicalKeys) Get(ctx context.Context, key string) (*physical.Entry, error) {
	return c.Backend.Get(ctx, keyclass.Canonical(key))
}

func (c canonicalKeys) Delete(ctx context.Context, key string) error {
	return c.Backend.Delete(ctx, keyclass.Canonical(key))
}

func (c canonicalKeys) List(ctx context.Context, prefix string) ([]string, error) {
	return c.Backend.List(ctx, keyclass.CanonicalPrefix(prefix))
}
