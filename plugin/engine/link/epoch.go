// SPDX-License-Identifier: MPL-2.0

package link

import "github.com/vault-replication/vault-replication/shared/replication"

// Relation is how a secondary's history of writes relates to its primary's.
type Relation int

const (
	// Same history: positions can be compared.
	Same Relation = iota
	// Behind means that the primary began a newer history; the secondary follows it.
	Behind
	// Ahead means that the secondary comes from a newer history than the primary's.
	Ahead
	// Diverged means that both were promoted from the same state.
	Diverged
)

// Compare relates a secondary's epoch to its primary's. The zero epoch is behind any other.
func Compare(secondary, primary replication.Epoch) Relation {
	switch {
	case secondary == primary:
		return Same
	case secondary.Generation < primary.Generation:
		return Behind
	case secondary.Generation > primary.Generation:
		return Ahead
	default:
		return Diverged
	}
}

// CheckRelation refuses histories that must never be merged silently. Both ends call it, so
// that neither depends on the other's build.
func CheckRelation(secondary, primary replication.Epoch) error {
	switch Compare(secondary, primary) {
	case Diverged:
		return replication.Errorf(replication.InvalidInput,
			"the two clusters were promoted separately and have diverged (epoch %s on the secondary, %s on the primary): "+
				"decide which data to keep, then disable replication on the other cluster and join it with a new activation token",
			secondary, primary)
	case Ahead:
		return replication.Errorf(replication.InvalidInput,
			"the secondary has data of a newer primary (epoch %s, the primary has %s): demote this primary and let it follow "+
				"the newer one; "+
				"to throw the newer data away, disable replication on the secondary and enable it anew", secondary, primary)
	default:
		return nil
	}
}

// CursorEpoch is the history that a secondary's data comes from.
func CursorEpoch(c *replication.Cursor) replication.Epoch {
	if c.Copying {
		return c.CopyFrom.Epoch
	}
	return c.Position.Epoch
}
