// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"encoding/binary"
	"hash"
	"math/bits"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// Key is the secret of a replication set for one mode.
type Key [32]byte

// Hasher hashes pairs of key and value under a Key. Safe for concurrent use.
type Hasher struct {
	key  Key
	pool sync.Pool
}

// NewHasher returns the hasher of a key.
func NewHasher(key Key) *Hasher { return &Hasher{key: key} }

// Element is the hash of one pair. It includes lengths, so that no two pairs have the same bytes.
func (h *Hasher) Element(key string, value []byte) Sum {
	d := h.get()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(key)))
	d.Write(n[:])
	d.Write([]byte(key))
	binary.BigEndian.PutUint64(n[:], uint64(len(value)))
	d.Write(n[:])
	d.Write(value)
	return h.finish(d)
}

// Level says at how coarse a level a key still ends a range: one key in 2^n has a level of at least n. It depends only
// on the name and the secret, so nobody can choose names that all end ranges.
func (h *Hasher) Level(key string) int {
	d := h.get()
	d.Write([]byte("level"))
	d.Write([]byte(key))
	return bits.TrailingZeros64(h.finish(d)[0])
}

// Root is the fingerprint of a set: its sum and the number of its pairs.
func (h *Hasher) Root(sum Sum, count uint64) []byte {
	out := h.ofSet("root", sum, count)
	return out[:]
}

// Part is the fingerprint of a compared part of a set. It is a hash of the sum, so somebody who sees many of them and
// chooses values cannot construct an equal one.
func (h *Hasher) Part(sum Sum, count uint64) [16]byte {
	out := h.ofSet("part", sum, count)
	return [16]byte(out[:16])
}

func (h *Hasher) ofSet(what string, sum Sum, count uint64) [32]byte {
	d := h.get()
	b := sum.Bytes()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], count)
	d.Write([]byte(what))
	d.Write(b[:])
	d.Write(n[:])
	return h.finish(d).Bytes()
}

func (h *Hasher) get() hash.Hash {
	if d, ok := h.pool.Get().(hash.Hash); ok {
		d.Reset()
		return d
	}
	// The error is only for keys longer than 64 bytes.
	d, _ := blake2b.New256(h.key[:])
	return d
}

func (h *Hasher) finish(d hash.Hash) Sum {
	var buf [32]byte
	s := sumOf(d.Sum(buf[:0]))
	h.pool.Put(d)
	return s
}
