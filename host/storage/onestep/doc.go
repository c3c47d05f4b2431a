// SPDX-License-Identifier: MPL-2.0

// Package onestep writes a set of storage rows so that after a crash either all
// of them are there or none, on every storage.
//
// Storage with transactions (raft, consul) does it in one. On any other (file,
// PostgreSQL) what the rows replace is first written as one record, the step's; the
// removal of the record is the moment from which the step counts. As long as the record
// is there the step was not taken: [Store] shows the rows of before in place of those of
// the step, to sealed nodes and standbys too, and the node that leads puts them back:
// at once when a write fails, and with [Store.Settle] at each takeover, before it does
// anything else. Nobody else writes because of a record.
//
// File storage has remains of a write that was cut inside: a row that cannot be read, or a file beside it that is
// listed as a row. While the record is there the first reads as before; who settles removes both.
//
// A record is authenticated under the root key of the state before it. Who settles it
// has that key at hand: he sees the state before, so that is what he was opened with.
// Until then a record changes nothing but what this one node reads, and a forged one
// could at most keep it from being opened, as anybody can who writes to storage. It is
// bound to the role and the keyring of before: where the cluster has others, it went on
// without the step, and the record is dropped. It can have only keys that a change
// of role writes.
package onestep
