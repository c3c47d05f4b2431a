// SPDX-License-Identifier: MPL-2.0

// Package role keeps what a cluster is in each mode of replication, and carries
// out its changes.
//
// The role record is stored behind the barrier and read the moment the barrier
// opens, before Vault builds anything: a secondary must never come up as a
// primary, not even for the time of a start. A record that cannot be read keeps
// the node sealed.
//
// A change of role is asked for by a client (package host/internal/api), decided by the
// plugin (a replication.Transition) and carried out here: all rows of the change
// are written in one storage transaction, so that a cluster whose change is cut
// is on one side or the other.
//
// Each matter has a type of its own that names what it needs: the roles in force, the
// sessions of the plugins, the term, the machine of changes, what a primary and what a
// secondary can be asked for. The [Controller] makes them and follows the core.
package role
