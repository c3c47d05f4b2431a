// SPDX-License-Identifier: MPL-2.0

// Package secondary is the secondary's end of the link: it connects, learns from
// the primary whether to resume or to copy, applies what arrives, and does so
// for ever.
//
// The host's cursor is the only memory of how far it is: it is asked anew for
// each session, so that a crash anywhere resumes where the data is. A copy is
// made when the primary says so, never because a connection was lost.
package secondary
