// SPDX-License-Identifier: MPL-2.0

// Package forward lets a performance secondary's host ask its primary's host to do
// something: to carry out a logical request, or to make an entity. The [Client] is on the
// secondary, the [Server] on the primary.
//
// A call has a kind and a body of bytes that only the two ends of the kind understand.
// Package envelope seals it, and the plugins carry it. Inside the envelope it is a length
// (uvarint), a JSON header (callHeader, answerHeader) and the body.
//
// Each answer names the primary's position before and after the call. If they differ the
// call may have written. The secondary can wait until it has applied that position, so a
// client reads its own writes.
package forward
