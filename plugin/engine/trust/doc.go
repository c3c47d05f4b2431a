// SPDX-License-Identifier: MPL-2.0

// Package trust decides who belongs to a replication set: the primary's certificate
// authority, activation bundles, and the registry of secondaries that may connect.
//
// A primary makes a self-signed P-384 authority per mode when it is enabled or promoted. Its key is kept behind the
// barrier (through Host.PutState) and never leaves the cluster. Each secondary gets one client certificate, and only
// the serial that was recorded for its id is accepted. Revocation is immediate and final for a certificate. The id is
// refused until it gets a new one. So certificates live as long as the authority. An expiry would keep nobody out, and
// would break a link that a disaster depends on.
//
// A secondary's certificate is for clients alone, so a secondary cannot pose as the primary
// to another one.
package trust
