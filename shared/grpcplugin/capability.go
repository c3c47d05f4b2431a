// SPDX-License-Identifier: MPL-2.0

package grpcplugin

// capabilityCompare is that of a host that compares its content with the primary's, see Diff.
const capabilityCompare = "compare"

// capabilities are what this release can do beyond what the protocol version says. Both sides say them at Attach. A
// name that the other side does not know means nothing to it. What it does not name is not used with it, which is no
// error.
func capabilities() []string { return []string{capabilityCompare} }
