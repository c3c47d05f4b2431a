// SPDX-License-Identifier: MPL-2.0

package backing

import (
	"context"
	"strings"
)

// ReadListed reads the values of keys that a walk has found. File storage writes a value into a file with the key's
// name and some digits, and renames it; a listing may have that name, and a read may find it. So on storage without
// transactions a key that ends with digits is read under the locks of the keys whose temporary file it may be.
func (b *Storage) ReadListed(ctx context.Context, keys []string) ([][]byte, error) {
	if b.Txn != nil {
		return b.ReadAll(ctx, keys)
	}
	values, err := b.ReadAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		bases := BasesOf(key)
		if len(bases) == 0 || values[i] == nil {
			continue
		}
		locks, err := b.Keys.Lock(ctx, bases...)
		if err != nil {
			return nil, err
		}
		one, err := b.ReadAll(ctx, keys[i:i+1])
		b.Keys.Unlock(locks)
		if err != nil {
			return nil, err
		}
		values[i] = one[0]
	}
	return values, nil
}

// tempDigits is the highest number of digits that a temporary file's name has.
const tempDigits = 10

// BasesOf are the keys whose temporary file a key may be.
func BasesOf(key string) []string {
	var bases []string
	name := strings.LastIndexByte(key, '/') + 1
	for n := len(key); n > name+1 && len(bases) < tempDigits && key[n-1] >= '0' && key[n-1] <= '9'; n-- {
		bases = append(bases, key[:n-1])
	}
	return bases
}
