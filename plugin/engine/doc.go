// SPDX-License-Identifier: MPL-2.0

// Package engine is the protocol of both replication modes: it implements
// replication.Backend on top of a replication.Host, and plugin/dr and
// plugin/performance are its two binaries.
//
// It decides and tells; it never changes a role by itself. A method that leads
// to another role returns a Transition, which the host carries out as one step,
// and everything the engine must remember is in the host's records: a restart of
// the process loses nothing but connections.
//
//	trust      who belongs to the set: authority, bundles, revocation
//	link       the wire between two clusters: limits, checks, epochs, errors
//	primary    sessions with secondaries: resume or copy, frames, credit
//	secondary  the session with the primary: retry, copy, apply, heartbeats
//	lag        positions as time
package engine
