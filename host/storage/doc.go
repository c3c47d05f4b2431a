// SPDX-License-Identifier: MPL-2.0

// Package storage is the storage tap: a physical backend between Vault's barrier and its cache, which sees every write
// of the core.
//
// At first it passes everything through. On request it
//
//   - refuses the core's writes to replicated keys ([Tap.SetGuard]),
//   - tells when a leadership begins and what was applied ([Observer]),
//   - keeps the journal of a primary and serves it to readers ([Tap.Activate]),
//   - does not send a performance secondary keys that are local or held back, and keys that its slot's filter does not
//     let in ([Tap.Reclassify], [Tap.SetFilter]),
//   - applies a primary's journal and content on a secondary ([Tap.Secondary]), and tells when a position has arrived,
//   - keeps a fingerprint of the replicated content ([Tap.StartFingerprint]),
//   - writes the rows of a change of role, so that journal and indexes know of them ([Tap.Step]), and forgets a mode
//     that has ended ([Tap.Forget]).
//
// Nobody may change a value after it was given to the tap, because Vault's cache and the ring keep the same slices. No
// code here changes a value.
//
// The tap is made of parts, and each says which lock guards what:
//
//   - writePath makes a write: guard, write mode, locks of its keys, number and row. commit.go has the way of one
//     write. Below it is package backing, the storage itself.
//   - package primary begins and ends terms, keeps slots, and serves frames, ranges and
//     answers. The write path knows the journal of a term as activeJournal.
//   - package secondary, once for each mode, applies and compares ([Tap.Secondary]).
//   - package index sums the content up, stores the sums and checks them ([Tap.Indexes]).
//
// A change of guard, journal or indexes makes a new write mode. A write enters the present write mode and leaves it
// when the storage has answered. A change returns when all writes in former write modes have ended.
package storage
