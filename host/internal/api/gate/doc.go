// SPDX-License-Identifier: MPL-2.0

// Package gate stands in front of Vault's HTTP handler.
//
// A DR secondary serves an exact list of methods and paths (the table in allowed.go). The
// gate refuses everything else before Vault sees it. Vault itself would not: with the role
// set, it opens raft administration to requests without a token, and some of its routes
// never ask the core about roles.
//
// The gate stands in front of each listener's handler, and in front of the handler of the
// cluster port, which gets the requests that standbys forward. A standby lets through what the
// table allows, and Vault forwards it. The gate of the active node checks the tokens.
//
// Another spelling of a path does not get past the check: only the exact one is allowed. A
// request that was let in before the node became a DR secondary can read no more of its
// body after that.
package gate
