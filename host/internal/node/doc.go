// SPDX-License-Identifier: MPL-2.0

// Package node puts the parts of the host together for one Vault core: storage
// tap, roles, cluster port, plugins, endpoints and the gate in front of them.
//
// [Attach] takes over Vault's exported HTTP handler variable, which the server
// command calls with the core before any unseal and then once for each listener.
// Everything else of the server command stays as it is.
package node
