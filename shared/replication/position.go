// SPDX-License-Identifier: MPL-2.0

package replication

import "fmt"

// Epoch names one history of writes. It changes on every promotion and when
// storage goes back in time, so that sequence numbers of different histories
// are never compared. ID is random: two clusters that were promoted from the
// same state have the same Generation and different IDs.
type Epoch struct {
	Generation uint64
	ID         string
}

// IsZero says that there is no epoch yet.
func (e Epoch) IsZero() bool { return e == Epoch{} }

func (e Epoch) String() string { return fmt.Sprintf("%d/%s", e.Generation, e.ID) }

// Position is a point in the history of writes of a primary.
type Position struct {
	Epoch Epoch
	// Term is the number of a leadership of the primary cluster.
	Term uint64
	// Sequence is the number of the last included journal row, of one write or of several gathered ones. It grows, also
	// over terms, and may skip. 0 is before the first row.
	Sequence uint64
}

func (p Position) String() string {
	return fmt.Sprintf("%s/%d/%d", p.Epoch, p.Term, p.Sequence)
}

// Fingerprint stands for the replicated content in 32 bytes. It is equal on two clusters if
// and only if their content is, up to the strength of the hash. Empty means not known yet:
// the host is still computing it.
type Fingerprint []byte

// String is the lower-case hexadecimal form, the status field "merkle_root".
func (f Fingerprint) String() string { return fmt.Sprintf("%x", []byte(f)) }
