// SPDX-License-Identifier: MPL-2.0

// Package journal has the parts of the journal of accepted writes: rows and
// their binary form, the sequencer that hands out numbers and keeps the
// watermark below which every write is finished, the ring of recent writes with
// their values, the payloads of frames and ranges, and the plain records (head,
// slots, cursor) beside it. It does no input or output; package storage does.
package journal
