// SPDX-License-Identifier: MPL-2.0

package trust

import (
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// idMax is the longest id of a secondary, in characters (all are ASCII).
const idMax = 128

// CheckID says whether an id may name a secondary. It is InvalidInput otherwise.
func CheckID(id string) error {
	refuse := func(why string) error {
		return replication.Errorf(replication.InvalidInput, "the id of a secondary %s: choose 1 to %d printable ASCII "+
			"characters without '/'", why, idMax)
	}
	switch {
	case id == "":
		return refuse("is missing")
	case len(id) > idMax:
		return refuse("is too long")
	case strings.TrimSpace(id) != id:
		return refuse("begins or ends with a space")
	}
	for i := range len(id) {
		if c := id[i]; c < ' ' || c > '~' || c == '/' {
			return refuse("has a character that is not allowed")
		}
	}
	return nil
}
