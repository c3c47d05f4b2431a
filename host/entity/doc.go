// SPDX-License-Identifier: MPL-2.0

// Package entity keeps the identities of a performance secondary those of its
// primary. Entities, their shared aliases and groups are written on the primary
// only; but logins happen on the secondary, and Vault's core changes all three in the
// middle of a login, where no request can be forwarded any more.
//
// Hence [Secondary] looks at the answer of an auth method before the core sees it
// ([Secondary.AfterAuth]): when the core would write, it asks the primary to do so,
// waits until that has arrived and only then lets the core go on, which finds
// everything in place. When nothing must change, which is nearly always, this costs
// two look-ups in memory. A login whose entity cannot be had is refused with 503; it
// never goes on without.
//
// An auth mount that is local to the secondary gets an empty entity from the
// primary, so that policies and groups can refer to it everywhere, and an alias that
// only this cluster has.
//
// Two logins of one alias at the same time that bring different metadata would
// undo each other's change between the question to the primary and the core's
// comparison. Those of one node wait for each other ([gate]). One on another cluster
// in the very same moment is not excluded: that login fails with Vault's read-only
// error, nothing is written, and it works when repeated.
//
// A token with entity_alias goes the same way ([DecorateTokenCreate]). What the core
// still changes by itself (members of external groups, entities for aliases that are
// made through the API on a local mount) goes through [Secondary.ChangeMembers] and
// [Secondary.CreateEntity].
//
// [Server] is the primary's side. It audits each change, and makes none that is about
// an auth mount which the secondary does not have.
//
// What stays per cluster: TOTP passcodes that were used (one passcode can be used
// once on each cluster within its validity), login attempts that failed and users
// locked out by them, and the second phase of a login with MFA, which must
// reach the cluster of the first. A disabled entity is refused everywhere as soon as
// the change has arrived. A batch token names its entity: its policies follow the
// entity on each cluster that accepts the token.
package entity
