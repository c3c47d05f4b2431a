// SPDX-License-Identifier: MPL-2.0

package link

import "github.com/vault-replication/vault-replication/shared/replication"

// The versions of link.v1 that this build speaks. In version 1 nothing had a proof.
const (
	ProtocolVersion = 2
	OldestVersion   = 2
)

const (
	// Farewell is the capability to hear that the primary was demoted, as the last message of a stream.
	Farewell = "farewell"
	// ManyForwards is the capability of a primary to take ForwardsMax forwarded requests of a secondary at once.
	ManyForwards = "many-forwards"
)

// Capabilities are what this build can do beyond what its version says. The other end ignores names that it does not
// know. A capability that it does not name is not used with it.
func Capabilities() []string { return []string{Farewell, ManyForwards} }

// Agree is the version of a session with a secondary that speaks the versions from oldest to newest. Oldest is 0 for a
// secondary that speaks newest alone.
func Agree(newest, oldest uint32) (uint32, error) {
	switch {
	case newest < OldestVersion:
		return 0, apart(newest, ProtocolVersion, "secondary")
	case newest > ProtocolVersion && (oldest == 0 || oldest > ProtocolVersion):
		return 0, apart(newest, ProtocolVersion, "primary")
	}
	return min(newest, ProtocolVersion), nil
}

// CheckVersion checks the version of a primary's answer.
func CheckVersion(version uint32) error {
	switch {
	case version < OldestVersion:
		return apart(ProtocolVersion, version, "primary")
	case version > ProtocolVersion:
		return apart(ProtocolVersion, version, "secondary")
	}
	return nil
}

func apart(secondary, primary uint32, older string) error {
	return replication.Errorf(replication.InvalidInput, "the secondary speaks version %d of the link protocol and the "+
		"primary version %d, and they have none in common: upgrade the %s", secondary, primary, older)
}
