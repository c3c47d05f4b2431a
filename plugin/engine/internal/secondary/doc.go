// SPDX-License-Identifier: MPL-2.0

// Package secondary is the secondary's end of the link. It connects, learns from the
// primary whether to resume or to copy, and applies what arrives, for ever.
//
// The host's cursor alone says how far the secondary is. It is asked anew for each session,
// so after a crash anywhere the secondary resumes where its data is. A copy is made when
// the primary says so, never because a connection was lost.
package secondary
