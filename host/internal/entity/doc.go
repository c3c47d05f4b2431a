// SPDX-License-Identifier: MPL-2.0

// Package entity keeps the identities of a performance secondary equal to its primary's.
// Entities, their shared aliases and groups are written on the primary alone. But logins
// happen on the secondary, and Vault's core changes all three in the middle of a login,
// where no request can be forwarded any more.
//
// So [Secondary] looks at the answer of an auth method before the core sees it
// ([Secondary.AfterAuth]). If the core would write, it asks the primary to write, and waits
// until that has arrived. Then it lets the core go on, which finds everything in place.
// Nearly always nothing must change; then this costs two look-ups in memory. A login whose
// entity cannot be had is refused with 503. It never goes on without.
//
// An auth mount that is local to the secondary gets an empty entity from the primary, so
// that policies and groups everywhere can refer to it. The alias stays on this cluster.
//
// Two logins of one alias that bring different metadata at the same time would undo each
// other's change, between the question to the primary and the core's comparison. On one
// node they wait for each other ([gate]). Two clusters can still meet in the same moment.
// Then the login fails with Vault's read-only error, nothing is written, and a second try
// works.
//
// A token with entity_alias goes the same way ([DecorateTokenCreate]). The core still
// changes some things by itself: members of external groups, and entities for aliases that
// are made through the API on a local mount. They go through [Secondary.ChangeMembers] and
// [Secondary.CreateEntity].
//
// [Server] is the primary's side. It audits each change. It refuses a change about an auth
// mount that the secondary does not have.
//
// Some things stay per cluster. A TOTP passcode can be used once on each cluster within its
// validity. Failed logins and locked users are counted per cluster. The second phase of a
// login with MFA must reach the cluster of the first. A disabled entity is refused
// everywhere as soon as the change has arrived. A batch token names its entity, so its
// policies follow the entity on each cluster that accepts the token.
package entity
