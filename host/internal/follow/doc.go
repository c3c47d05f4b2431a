// SPDX-License-Identifier: MPL-2.0

// Package follow makes the running core of a performance secondary take up what
// was applied to its storage, without a restart, a seal or a failed request.
//
// The storage tap calls [Follower.Applied] with the keys of each transaction
// that it has applied, in order. What a key means to the core is in one table in
// keys.go:
//
//   - mount, auth and audit tables: mounted, unmounted, moved, tuned, rebuilt
//     ([mounttable.Diff] says what, tables.go does it);
//   - a key below a mount's view: the backend is told, built in or a plugin;
//   - policies, quotas, login MFA, CORS, headers, audit salts, feature flags:
//     Vault's own caches of them are renewed;
//   - a plugin of the catalog: mounts that wait for it are tried again;
//   - everything else is read from storage by Vault each time it is needed
//     (password policies, token roles, custom messages, the plugin catalog and
//     its pins), or belongs to others (the keyring is followed in package role).
//
// Applying never waits for long: each step has a bound. A step that fails or
// takes longer is logged, is what the secondary lacks ([Follower.Lacks]) until it
// was done, and is tried again in a while, further and further apart.
//
// An unmount on the primary comes as three changes: the mount is tainted in the
// table, its data is deleted, it vanishes from the table. The leases that this
// secondary has given out are revoked at the first, while the engine still has
// its configuration. What is left at the last is forgotten by force, for an
// engine that is gone can revoke nothing.
package follow
