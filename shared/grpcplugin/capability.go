// SPDX-License-Identifier: MPL-2.0

package grpcplugin

// capabilityCompare says that a host can compare its content with the primary's, see Diff.
const capabilityCompare = "compare"

// capabilities are what this release can do beyond what the protocol version says. Both sides list them at Attach.
// Unknown names are ignored. A capability that the other side does not name is not used; that is no error.
func capabilities() []string { return []string{capabilityCompare} }
