// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"encoding/binary"
	"math/bits"
)

// Sum is a number modulo 2^256, least significant word first.
type Sum [4]uint64

// Add adds o.
func (s *Sum) Add(o Sum) {
	var c uint64
	for i := range s {
		s[i], c = bits.Add64(s[i], o[i], c)
	}
}

// Sub subtracts o.
func (s *Sum) Sub(o Sum) {
	var b uint64
	for i := range s {
		s[i], b = bits.Sub64(s[i], o[i], b)
	}
}

// Bytes is the number in 32 bytes, big-endian.
func (s Sum) Bytes() [32]byte {
	var out [32]byte
	for i, w := range s {
		binary.BigEndian.PutUint64(out[24-8*i:], w)
	}
	return out
}

func sumOf(b []byte) Sum {
	var s Sum
	for i := range s {
		s[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return s
}
