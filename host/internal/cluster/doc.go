// SPDX-License-Identifier: MPL-2.0

// Package cluster is the cluster port. Request forwarding, raft and replication come in
// there, told apart by the one ALPN name that a client offers.
//
// [Border] accepts the connections of the port and shakes hands in place of Vault's
// listener, within bounds. It gives each connection to the handler whose root of trust
// verified it. [Port] has the handlers of replication. A mode has its own root of trust,
// the CA of its plugin, and the host says which of its certificates are let in.
package cluster
