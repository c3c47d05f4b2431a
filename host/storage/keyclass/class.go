// SPDX-License-Identifier: MPL-2.0

package keyclass

// Class says where a key belongs. Its numbers are stored in journal rows:
// append only.
type Class uint8

// The classes.
const (
	// Unknown is a key that the table has no row for.
	Unknown Class = 0
	// Shared content is the same on all clusters of a set: DR and performance.
	Shared Class = 1
	// Local content belongs to one performance cluster and its DR secondary.
	Local Class = 2
	// Own content belongs to one cluster alone and is never replicated.
	Own Class = 3
)

func (c Class) String() string {
	switch c {
	case Shared:
		return "shared"
	case Local:
		return "local"
	case Own:
		return "own"
	default:
		return "unknown"
	}
}
