// SPDX-License-Identifier: MPL-2.0

// Package anchor measures what the benchmark's figures are held to: a PostgreSQL pair with streaming
// replication, and Vault's raft storage without Vault around it.
package anchor
