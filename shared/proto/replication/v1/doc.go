// SPDX-License-Identifier: MPL-2.0

// Package replicationv1 is generated from replication.proto, the wire format of
// the contract in shared/replication. Only shared/grpcplugin uses it: everything
// else speaks the plain Go types. Run `make proto` after a change.
package replicationv1
