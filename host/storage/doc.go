// SPDX-License-Identifier: MPL-2.0

// Package storage is the storage tap: a physical backend that stands between
// Vault's barrier and its cache and sees every write of the core.
//
// Until it is told otherwise it passes everything through. Told to, it
//
//   - refuses the core's writes to replicated keys ([Tap.SetGuard]),
//   - says when a leadership begins and what was applied ([Observer]),
//   - keeps the journal of a primary and serves it to readers ([Tap.Activate]),
//   - keeps from a performance secondary what is local or not known yet, and what
//     its slot's filter does not allow ([Tap.Reclassify], [Tap.SetFilter]),
//   - applies a primary's journal and content on a secondary ([Tap.Secondary]),
//     and says when a position has arrived,
//   - keeps a fingerprint of the replicated content ([Tap.StartFingerprint]),
//   - writes the rows of a change of role, which those who count must know of too
//     ([Tap.Step]), and forgets a mode that has ended ([Tap.Forget]).
//
// Values are immutable from the moment they are given to the tap: Vault's cache
// keeps the same slices, and so does the ring of recent writes. Nothing here
// writes into a value or gives one out that it would write to later.
//
// The tap is made of parts, and each says which lock guards what:
//
//   - writePath makes a write: guard, write mode, locks of its keys, number and row. The way
//     of one write is in commit.go. Below it is package backing, the storage itself.
//   - package primary begins and ends terms, keeps slots, and serves frames, ranges and
//     answers. The write path knows the journal of a term as activeJournal.
//   - package secondary, one a mode, applies and compares ([Tap.Secondary]).
//   - package index sums the content up, stores the sums and checks them ([Tap.Indexes]).
//
// Everything that changes how writes are treated makes a new write mode. A write
// enters the present write mode and leaves it when the storage has answered; a
// change returns when all writes of former write modes are done.
package storage
