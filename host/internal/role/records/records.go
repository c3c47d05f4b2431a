// SPDX-License-Identifier: MPL-2.0

// Package records has the storage keys of the host's records of replication and of the plugins' records. It checks the
// names that plugins give to their records.
package records

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Prefix is the prefix of all records of the host.
const Prefix = vaultname.Replication

// stateName matches the allowed names of a plugin's record. The name becomes part of a storage key, so it must not lead
// out of its prefix.
var stateName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)

// OfMode is the prefix of all records of a mode except the role.
func OfMode(m replication.Mode) string { return Prefix + string(m) + "/" }

// OfPlugin is the prefix of a plugin's records.
func OfPlugin(m replication.Mode) string { return OfMode(m) + "state/" }

// CheckName refuses the name of a plugin's record that could be another's.
func CheckName(name string) error {
	if len(name) > replication.StateKeyMax || !stateName.MatchString(name) {
		return replication.Errorf(replication.InvalidInput, "the record name %q is not made of letters, digits, '_', '.', "+
			"'-' and single slashes, at most %d of them", name, replication.StateKeyMax)
	}
	return nil
}

// Check refuses a plugin's record that is too large, or has such a name.
func Check(name string, value []byte) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(value) > replication.StateValueMax {
		return replication.Errorf(replication.InvalidInput, "the record %q has %d bytes, more than %d", name, len(value),
			replication.StateValueMax)
	}
	return nil
}

// Lister lists what is directly below a prefix.
type Lister interface {
	ListEntries(ctx context.Context, prefix string) ([]string, error)
}

// Below lists all names below a storage prefix, sorted.
func Below(ctx context.Context, store Lister, prefix string) ([]string, error) {
	var out []string
	var walk func(dir string) error
	walk = func(dir string) error {
		names, err := store.ListEntries(ctx, prefix+dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "/") {
				if err := walk(dir + name); err != nil {
					return err
				}
				continue
			}
			out = append(out, dir+name)
		}
		return nil
	}
	if err := walk(""); err != nil {
		return nil, err
	}
	slices.Sort(out)
	return out, nil
}

// Stored lists all storage keys below a prefix, past the barrier.
func Stored(ctx context.Context, store physical.Backend, prefix string) ([]string, error) {
	keys, err := Below(ctx, stored{store}, prefix)
	if err != nil {
		return nil, fmt.Errorf("list of %s: %w", prefix, err)
	}
	for i := range keys {
		keys[i] = prefix + keys[i]
	}
	return keys, nil
}

type stored struct{ physical.Backend }

func (s stored) ListEntries(ctx context.Context, prefix string) ([]string, error) {
	return s.List(ctx, prefix)
}
