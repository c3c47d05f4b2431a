// SPDX-License-Identifier: MPL-2.0

// Package journal has the parts of the journal of accepted writes: rows and their binary form; the sequencer, which
// gives out numbers, keeps the watermark and has the ring of recent rows with their values; the payloads of frames and
// ranges; and the records (head, slots, cursor) beside it. It does no input or output.
package journal
