// SPDX-License-Identifier: MPL-2.0

// Package proof is the border between a host and its plugin for all that two hosts tell
// each other of what is replicated. What leaves gets a proof, what arrives without a
// valid one is refused before anything of it is decoded: plugins and the link carry bytes
// that they can delay and withhold, and neither make, change, play again, put in another
// order, leave out in the middle nor roll back.
//
// Both hosts hold the pairing key of their relation, which no plugin ever sees. For each
// purpose HKDF-SHA256 makes a key of it; the purpose, the direction, the mode, the set and
// the id of the secondary are in the derivation, so that nothing of another relation,
// direction or purpose holds here. A proof is 128 bits of HMAC-SHA256 over what it
// proves and what that means:
//
//	frame        its epoch, term, After, To, ConsistentFrom, payload
//	range        the copy, After, UpTo, Last, Keys, AsOf, payload
//	opening      the copy, the position
//	question     a number that is used once, the question
//	answer       the question with its number, the answer
//	fingerprint  the position, the fingerprint
//	cursor       the copy, the position, the position of the copy
//
// A copy is named by 16 random bytes of the secondary's host, which are new when a copy
// has begun, so that no range and no opening of an older one counts. Frames need no such
// name: in an epoch the rows up to a position are what they are, and the cursor takes
// each once, in order.
//
// # Positions that are given
//
// With a frame and an opening the primary's host gives the secondary a mark of the
// position, under a key that the primary alone has. The secondary keeps it with its cursor and
// shows it with each proof of that. A position proves that the primary's storage has gone
// back in time only by such a mark: whatever else a secondary claims makes it copy, and
// nobody else. See docs/adr/0016-storage-that-goes-back.md and
// docs/adr/0023-proofs-from-host-to-host.md.
package proof
