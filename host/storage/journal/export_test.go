// SPDX-License-Identifier: MPL-2.0

package journal

// FixChecksum makes the last four bytes of b the checksum of the others.
func FixChecksum(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	return seal(append([]byte(nil), b[:len(b)-4]...))
}
