// SPDX-License-Identifier: MPL-2.0

// Package pairing is a primary's record of its secondaries, kept by the host: the key that the two hosts share, the one
// certificate that is let in for it, and the ids that were revoked. It decides at the handshake. So no plugin can let
// in a secondary that no operator has registered, or keep one that was revoked.
package pairing
