// SPDX-License-Identifier: MPL-2.0

package records

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"
)

// Cipher is the cipher of the barrier, which binds a value to its key.
type Cipher interface {
	Decrypt(ctx context.Context, key string, cipher []byte) ([]byte, error)
}

// WithoutRemains leaves out the names below a prefix that are no records. Stock Vault and earlier releases write a
// record of file storage into a file with the record's name and some digits, and a kill leaves that file. It stays
// where it is, because it does no harm unless it is taken for a record.
func WithoutRemains(ctx context.Context, c Cipher, store physical.Backend, prefix string, names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return isRemains(ctx, c, store, prefix+name) })
}

const (
	// tempDigits is the highest number of digits that such a file has more.
	tempDigits = 10
	// sureDigits is how many of them no name of a record has. All but a few such files have as many.
	sureDigits = 8
)

// isRemains says whether a key can only be such a file: it has the same value as the record whose name it begins with,
// or it was not written to its end.
func isRemains(ctx context.Context, c Cipher, store physical.Backend, key string) bool {
	digits := key[len(strings.TrimRight(key, "0123456789")):]
	if digits == "" {
		return false
	}
	e, err := store.Get(physical.CacheRefreshContext(ctx, true), key)
	var syntax *json.SyntaxError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax) {
		return len(digits) >= sureDigits
	}
	if err != nil || e == nil {
		return err == nil // Vault takes an empty file for no row, and removes it
	}
	if _, err := c.Decrypt(ctx, key, e.Value); err == nil {
		return false
	}
	for n := 1; n <= min(len(digits), tempDigits); n++ {
		suffix := key[len(key)-n:]
		if number, err := strconv.ParseUint(suffix, 10, 32); err != nil || strconv.FormatUint(number, 10) != suffix {
			continue
		}
		if _, err := c.Decrypt(ctx, key[:len(key)-n], e.Value); err == nil {
			return true
		}
	}
	return false
}
