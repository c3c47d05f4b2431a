// SPDX-License-Identifier: MPL-2.0

// Package onestep writes a set of storage rows so that after a crash either all
// of them are there or none, on every storage.
//
// Storage with transactions (raft, consul) uses one transaction. On other storage (file, PostgreSQL) the former rows
// are first written as one record. The step counts from the moment at which the record is removed. As long as the
// record is there, [Store] shows the former rows instead of those of the step, also to sealed nodes and standbys. The
// active node puts the former rows back: at once when a write fails, and with [Settle] at each takeover, before it does
// anything else. No other node writes because of a record.
//
// A loss of power may leave a row of file storage that cannot be read. While the record is there, such a row reads as
// before. Settle puts the former row back.
//
// A record is authenticated under a key from the root key of the former state. The node that settles it reads the
// former state, so it was opened with that root key and can check. Before that, a record changes only what a node
// reads. A forged record can at most keep a node sealed, and anybody who can write to storage can do that. A record is
// bound to the role and the keyring from before the step. If the cluster has others, it has gone on without the step,
// and the record is dropped. A record may have only keys that a change of role writes.
package onestep
