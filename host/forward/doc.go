// SPDX-License-Identifier: MPL-2.0

// Package forward lets a performance secondary's host ask its primary's host to do
// something: to carry out a logical request, to make an entity. The [Client] is on
// the secondary, the [Server] on the primary.
//
// A call has a kind and a body of bytes; what is in it is for the kind's two ends to
// know. Package envelope seals it, and the plugins carry it. Its form inside the
// envelope is a length (uvarint), a JSON header (callHeader, answerHeader) and the
// body.
//
// The answer of each call names the primary's position before and after it. When
// they differ the call may have written. The secondary can wait until it has applied
// what was written, or found there: a client reads its own writes.
package forward
