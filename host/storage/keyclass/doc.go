// SPDX-License-Identifier: MPL-2.0

// Package keyclass says which storage keys are replicated, and why. The table
// in table.go is the only place where a key is classified: everything that
// reads, writes, copies, compares or guards replicated content asks here.
//
// Keys of mounts' views depend on what is known of the mounts, see Mounts; the
// local prefixes of engines that are built in are in builtin.go.
//
// A key that the table does not know is Unknown: it goes to DR secondaries
// (losing it would be worse), never to performance secondaries (leaking it
// would be worse), and the caller counts it.
package keyclass
