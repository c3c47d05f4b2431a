// SPDX-License-Identifier: MPL-2.0

// Package onestep writes a set of storage rows so that after a crash either all
// of them are there or none, on every storage.
//
// Storage with transactions (raft, consul) does it in one. On any other (file,
// PostgreSQL) the whole set is first written as one record, the redo record; from
// then on the set counts as written: [Redo], which runs at every start before
// anything reads storage, finishes what was cut. The record needs no encryption
// of its own, for the rows in it are already what storage is to hold.
package onestep
