// SPDX-License-Identifier: MPL-2.0

// Package keyclass says which storage keys are replicated, and why. The table
// in table.go is the only place where a key is classified: everything that
// reads, writes, copies, compares or guards replicated content asks here.
//
// The class of a key in a mount's view depends on what is known of the mount, see Mounts. The local prefixes of
// built-in engines are in builtin.go.
//
// A key that the table does not know is Unknown: it goes to DR secondaries
// (losing it would be worse), never to performance secondaries (leaking it
// would be worse), and the caller counts it.
package keyclass
