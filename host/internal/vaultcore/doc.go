// SPDX-License-Identifier: MPL-2.0

// Package vaultcore is, with the packages below it, the only place of this project that touches unexported state of
// Vault's core. It works with exactly one version of Vault, the one in go.mod; docs/raising-vault.md says how to change
// it.
//
// [Attach] is called with the core before any unseal. It first checks that every field that it uses exists with the
// expected type. Otherwise it refuses with one sentence, because a server without these seams would accept writes that
// no secondary gets. The linker checks the functions and methods that are reached with go:linkname: without one of them
// the binary does not link. Both lists are in package pinned.
//
// What the seams are:
//
//   - storage: [Core.InstallStorage] puts a wrapper around the storage below the
//     barrier and beside it (seal configuration, stored keys).
//   - barrier: [Core.OnBarrierOpen] and [Core.OnBarrierSeal] run between the
//     opening of the barrier and everything that depends on the role.
//   - role: [Core.SetReplicationState] sets the word that all of Vault's own
//     secondary branches read; [Core.Restart] seals and unseals in place.
//   - backends: [Core.OnCoreBackend] sees Vault's system, identity and token
//     backends before they serve; [Core.SetInertBackends] keeps every engine from
//     being built.
//   - routing: package routes puts wrappers around the engines where the
//     router holds them; [Core.Execute] runs another host's request in one.
//   - cluster port: [Core.ClusterListener].
//   - live changes: package live mounts, unmounts, moves and tunes while the core
//     runs, and renews its caches; [Core.HideMounts] and
//     [Core.TolerateAuditFailures] are for the unseal of a performance secondary.
//   - keys: root key, seal, shares.
//   - identity: package identity makes the identity store of a performance secondary
//     follow its primary.
package vaultcore
