// SPDX-License-Identifier: MPL-2.0

// Package role keeps what a cluster is in each mode of replication, and carries
// out its changes.
//
// The role record is stored behind the barrier and read as soon as the barrier opens, before Vault builds anything,
// because a secondary must never start as a primary, not even for a moment. If the record cannot be read, the node
// stays sealed.
//
// A client asks for a change of role (package host/internal/api), the plugin decides it (a replication.Transition), and
// this package carries it out. All rows of the change are written in one step, so a crash leaves either the old role or
// the new one.
//
// Each task has a type of its own, which names what it needs: the roles in force, the sessions of the plugins, the
// term, the changes of role, the requests to a primary and to a secondary. The [Controller] makes them and follows the
// core.
package role
