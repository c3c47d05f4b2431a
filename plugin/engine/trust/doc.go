// SPDX-License-Identifier: MPL-2.0

// Package trust decides who belongs to a replication set: the primary's
// certificate authority, activation bundles, and the registry of secondaries
// that may connect.
//
// A primary makes a self-signed P-384 authority per mode when it is enabled or
// promoted; its key is kept behind the barrier (through Host.PutState) and never
// leaves the cluster. Each secondary gets one client certificate, and only the
// serial that was recorded for its id is accepted. Revocation is immediate and
// final: the id stays refused, its certificate with it. Certificates therefore
// live as long as the authority: expiry would only break a link that a disaster
// depends on, it would not be what keeps anybody out.
//
// A secondary's certificate is good for clients only, so that it cannot be used
// to pose as a primary to another secondary.
package trust
