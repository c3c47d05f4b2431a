// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// stateName is what the name of a plugin's record looks like. It becomes part of
// a storage key, so it must not climb out of its prefix.
var stateName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)

// modePrefix is below which the host keeps all records of a mode but the role.
func modePrefix(m replication.Mode) string { return recordPrefix + string(m) + "/" }

// statePrefix is below which a plugin's records are.
func statePrefix(m replication.Mode) string { return modePrefix(m) + "state/" }

func checkStateName(name string) error {
	if len(name) > replication.StateKeyMax || !stateName.MatchString(name) {
		return replication.Errorf(replication.InvalidInput, "the record name %q is not made of letters, digits, '_', '.', "+
			"'-' and single slashes, at most %d of them", name, replication.StateKeyMax)
	}
	return nil
}

func checkState(name string, value []byte) error {
	if err := checkStateName(name); err != nil {
		return err
	}
	if len(value) > replication.StateValueMax {
		return replication.Errorf(replication.InvalidInput, "the record %q has %d bytes, more than %d", name, len(value),
			replication.StateValueMax)
	}
	return nil
}

// listBelow lists all names below a storage prefix, sorted.
func listBelow(ctx context.Context, store records, prefix string) ([]string, error) {
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
