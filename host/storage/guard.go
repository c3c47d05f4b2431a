// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Level says which writes of the core a Guard refuses.
type Level int

// The levels of a guard.
const (
	// Open refuses nothing.
	Open Level = iota
	// ReadOnly refuses writes to keys that are replicated in the guard's modes with logical.ErrReadOnly, and notes the
	// refusal. Deletions that keyclass absorbs are dropped. A key that is held back in performance mode is refused too: if
	// it turns out to be shared, the write would be lost here.
	ReadOnly
	// Frozen refuses every write with ErrFrozen.
	Frozen
)

// Guard says what the core may write. Writes of the tap itself pass every guard.
type Guard struct {
	Level Level
	// Modes are the modes in which the cluster is a secondary, for ReadOnly.
	Modes []replication.Mode
	// Absorb are keys whose writes and deletions by the core are dropped without an error, for ReadOnly. A core writes
	// these keys by itself while it starts, and a secondary receives them from its primary.
	Absorb []string
	// Own is a prefix of keys that may be written all the same: records of replication that this cluster makes itself. It
	// is empty for none.
	Own string
}

// ErrFrozen refuses writes while a role change is under way.
var ErrFrozen = errors.New("storage accepts no writes while the replication role of this cluster changes: try again " +
	"in a moment")

// check says whether an operation is refused or must be dropped.
func (g *Guard) check(c *keyclass.Classifier, op physical.Operation, key string) (drop bool, err error) {
	switch g.Level {
	case Open:
		return false, nil
	case Frozen:
		return false, ErrFrozen
	case ReadOnly:
	}
	if slices.Contains(g.Absorb, key) {
		return true, nil
	}
	if g.Own != "" && strings.HasPrefix(key, g.Own) {
		return false, nil
	}
	class := c.Class(key)
	for _, m := range g.Modes {
		if keyclass.IsHeld(m, class, key) || keyclass.InMode(class, m) {
			if op == physical.DeleteOperation && keyclass.IsAbsorbed(key) {
				return true, nil
			}
			return false, logical.ErrReadOnly
		}
	}
	return false, nil
}
