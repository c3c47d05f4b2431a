// SPDX-License-Identifier: MPL-2.0

// Package cluster is the cluster port: what comes in there for request forwarding,
// raft and replication, told apart by the one ALPN name that a client offers.
//
// [Border] accepts the connections of the port and shakes hands in place of Vault's
// listener, within bounds, and gives each to the handler whose root of trust verified
// it. [Port] has the handlers of replication: a mode brings its own root of trust, the
// CA that its plugin gave, and the host says which of its certificates are let in.
package cluster
