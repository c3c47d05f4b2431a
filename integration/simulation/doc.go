// SPDX-License-Identifier: MPL-2.0

// Package simulation runs a primary, one or two secondaries, their plugins and their
// storage in one process with a clock that is not real, breaks things, and checks
// what replication promises. A seed decides everything that is decided here: what is
// written, which faults there are and when.
//
// Real are the storage tap (host/storage) over storage in memory that a crash leaves
// as a disk would be left, the engine of the plugins on both sides, and gRPC between
// them. Not real are the core, whose writes are made by writers, and which on a
// secondary remembers what it was told of; in performance mode, what a host does about
// mounts and filters; the process boundary between host and
// plugin, which is a call that either side may not outlive; and TLS, which is the
// host's.
//
// A run needs a bubble of testing/synctest. Goroutines that are ready at the same
// moment of its clock run in the order of Go's scheduler, so a seed that fails
// nearly always fails again, and not always: its log is printed when it fails.
package simulation
