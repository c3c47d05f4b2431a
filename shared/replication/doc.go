// SPDX-License-Identifier: MPL-2.0

// Package replication is the contract between the host (the Vault server with
// the replication shim) and a replication plugin, in plain Go types: no gRPC,
// no protobuf. Package shared/grpcplugin carries it over a process boundary.
//
// The split of duties is fixed (docs/architecture.md):
//
//   - The host owns state: journal, positions, slots, roles, keyring, storage.
//     It implements [Host].
//   - The plugin owns protocol: certificates, activation bundles, sessions with
//     other clusters, first copy, streaming, heartbeats, promotion rules. It
//     implements [Backend].
//
// A plugin sees names of storage keys and ciphertext, never a secret: whatever
// would be one (root key, seal material) crosses it sealed from host to host.
//
// Request and response types are structs of their own so that a field can be
// added without breaking an implementation; their zero value has a meaning.
package replication
