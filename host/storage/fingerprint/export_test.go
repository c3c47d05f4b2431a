// SPDX-License-Identifier: MPL-2.0

package fingerprint

// SetPerBlock makes blocks of fewer ranges, so that a test needs fewer keys.
func (x *Index) SetPerBlock(n int) { x.blocks.perBlock = n }

// Blocks is how many there are.
func (x *Index) Blocks() int {
	_, all := x.StoredBlocks()
	return all
}

// Clean is how many of them are stored.
func (x *Index) Clean() int {
	stored, _ := x.StoredBlocks()
	return stored
}

// Seal adds the authentication code of a row.
func (h *Hasher) Seal(row string, body []byte) []byte { return h.seal(row, body) }
