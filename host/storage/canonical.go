// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"path"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"
)

// canonicalKeys is for storage that takes several keys for one, as file storage
// does: it joins key and directory as paths, so "crls//x", which the PKI engine
// writes, is "crls/x" there. The tap must see such keys as the storage does, or
// it would count one row twice.
type canonicalKeys struct{ physical.Backend }

// canonical is the shortest spelling of a key or, with a trailing slash, prefix.
func canonical(key string) string {
	if !strings.Contains(key, "//") && !strings.Contains(key, "/./") && !strings.HasPrefix(key, "/") {
		return key
	}
	clean := strings.TrimPrefix(path.Clean(key), "/")
	if strings.HasSuffix(key, "/") && clean != "" {
		clean += "/"
	}
	return clean
}

func (c canonicalKeys) Put(ctx context.Context, e *physical.Entry) error {
	if key := canonical(e.Key); key != e.Key {
		same := *e
		same.Key = key
		e = &same
	}
	return c.Backend.Put(ctx, e)
}

func (c canonicalKeys) Get(ctx context.Context, key string) (*physical.Entry, error) {
	return c.Backend.Get(ctx, canonical(key))
}

func (c canonicalKeys) Delete(ctx context.Context, key string) error {
	return c.Backend.Delete(ctx, canonical(key))
}

func (c canonicalKeys) List(ctx context.Context, prefix string) ([]string, error) {
	return c.Backend.List(ctx, canonical(prefix))
}
