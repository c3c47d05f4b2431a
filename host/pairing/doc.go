// SPDX-License-Identifier: MPL-2.0

// Package pairing is a primary's own record of its secondaries, kept by the host: the
// key that the two hosts share, the one certificate that is let in for it, and the
// ids that were revoked. It decides at the handshake, so that no plugin can let in
// whom the operator has not asked for, or keep whom he has revoked.
package pairing
