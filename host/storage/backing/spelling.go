// SPDX-License-Identifier: MPL-2.0

package backing

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// OneSpelling is for storage that takes several keys for one. File storage does: it joins key and directory as paths,
// so "crls//x", which the PKI engine writes, is "crls/x" there. The tap must see such keys as the storage does.
// Otherwise it would count one row twice.
type OneSpelling struct{ physical.Backend }

// Put implements physical.Backend.
func (c OneSpelling) Put(ctx context.Context, e *physical.Entry) error {
	if key := keyclass.Canonical(e.Key); key != e.Key {
		same := *e
		same.Key = key
		e = &same
	}
	return c.Backend.Put(ctx, e)
}

// Get implements physical.Backend.
func (c OneSpelling) Get(ctx context.Context, key string) (*physical.Entry, error) {
	return c.Backend.Get(ctx, keyclass.Canonical(key))
}

// Delete implements physical.Backend.
func (c OneSpelling) Delete(ctx context.Context, key string) error {
	return c.Backend.Delete(ctx, keyclass.Canonical(key))
}

// List implements physical.Backend.
func (c OneSpelling) List(ctx context.Context, prefix string) ([]string, error) {
	return c.Backend.List(ctx, keyclass.CanonicalPrefix(prefix))
}
