// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"encoding/binary"
	"hash/crc32"
)

// sealed puts the checksum of an encoded record right.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b, checksum(b[crc32.Size:]))
	return b
}
