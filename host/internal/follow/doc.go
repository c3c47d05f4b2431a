// SPDX-License-Identifier: MPL-2.0

// Package follow has the running core of a performance secondary take up applied keys, without a restart, a seal or a
// failed request.
//
// The storage tap calls [Follower.Applied] with the keys of each applied transaction, in order. One table in keys.go
// says what a key means to the core:
//
//   - mount, auth and audit tables: mounted, unmounted, moved, tuned, rebuilt
//     ([mounttable.Diff] says what, tables.go does it);
//   - a key below a mount's view: the backend is told, built in or a plugin;
//   - policies, quotas, login MFA, CORS, headers, audit salts, feature flags:
//     Vault's own caches of them are renewed;
//   - a plugin of the catalog: mounts that wait for it are tried again;
//   - everything else needs nothing: Vault reads it from storage each time (password policies, token roles, custom
//     messages, the plugin catalog and its pins), or another package takes it up (the keyring: package role).
//
// Applying never waits for long, because each step has a bound. A step that fails or takes longer is logged, and tried
// again at growing intervals. Until it succeeds, [Follower.Lacks] names it.
//
// An unmount on the primary comes as three changes: the mount is tainted in the table, its data is deleted, it is
// removed from the table. At the first change this secondary's leases are revoked, while the engine still has its
// configuration. Leases that are left at the last are forgotten by force, because an engine that is gone cannot revoke
// them.
package follow
