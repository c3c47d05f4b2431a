// SPDX-License-Identifier: MPL-2.0

// Package gate stands in front of Vault's HTTP handler.
//
// A DR secondary serves an exact list of methods and paths (the table in
// allowed.go) and refuses everything else before Vault sees it. Vault itself
// would not: with the role set, it opens raft administration to requests without
// a token, and some of its routes never ask the core about roles.
//
// The gate belongs around two handlers of a node: each listener's, and the one
// of the cluster port, where requests that standbys forward come in. A standby
// passes what the table allows on to Vault's handler, which forwards it; tokens
// are checked by the gate of the active node, which has what it takes.
//
// The check cannot be circumvented by another spelling of a path: only the exact
// one is allowed, and a request that was let in before the node became a DR
// secondary can read no more of its body after that.
package gate
