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
//
// A goroutine takes locks in this order: the engine's lifecycle, a gate of the registry, of the nodes or of a
// secondary's Hello, then a mutex. Gates are held during calls of the host, so a caller that waits for a gate may leave
// with its context. A mutex is held for a moment only, and nothing is called under it. A status takes only mutexes, and
// waits a second for the host at most, because the host kills a plugin that gives no status.
package engine
