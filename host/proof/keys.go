// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Relation is what a pairing key belongs to.
type Relation struct {
	Mode        replication.Mode
	SetID       string
	SecondaryID string
}

// KeySize is the size of a pairing key, and of a primary's own key beside it.
const KeySize = 32

// sumSize is the size of one proof's sum, nonceSize that of a random name, in bytes.
const (
	sumSize   = 16
	nonceSize = 16
)

type (
	sum   [sumSize]byte
	nonce [nonceSize]byte
)

// key is the key of one purpose. It keeps hashes that have the key in them already: for a
// frame of one write, beginning a hash costs as much as hashing.
type key struct {
	hashes sync.Pool // of *hashing
}

// hashing is one use of a key.
type hashing struct {
	hash hash.Hash
	// said has the length of the meaning, then the meaning.
	said meaning
	out  [sha256.Size]byte
}

// newKey makes a key of a secret that the caller neither shares nor changes.
func newKey(secret []byte) *key {
	return &key{hashes: sync.Pool{New: func() any {
		return &hashing{hash: hmac.New(sha256.New, secret)}
	}}}
}

func newNonce() (n nonce) {
	// It never fails: without randomness the process ends.
	_, _ = rand.Read(n[:])
	return n
}

// derive makes the key of one purpose.
func derive(secret []byte, r Relation, purpose string) (*key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a key of %d bytes in place of %d", len(secret), KeySize)
	}
	info := fmt.Sprintf("vault-replication/proof/%s/v1 %q %q %q", purpose, r.Mode, r.SetID, r.SecondaryID)
	b, err := hkdf.Key(sha256.New, secret, nil, info, KeySize)
	if err != nil {
		return nil, err
	}
	return newKey(b), nil
}

// keys are those of one relation.
type keys struct {
	cursor, question                      *key // of the secondary's host
	frame, ranges, opening, answer, print *key // of the primary's host
}

func deriveKeys(pairing []byte, r Relation) (*keys, error) {
	k := &keys{}
	for purpose, into := range map[string]**key{
		"secondary-to-primary/cursor":      &k.cursor,
		"secondary-to-primary/question":    &k.question,
		"primary-to-secondary/frame":       &k.frame,
		"primary-to-secondary/range":       &k.ranges,
		"primary-to-secondary/opening":     &k.opening,
		"primary-to-secondary/answer":      &k.answer,
		"primary-to-secondary/fingerprint": &k.print,
	} {
		var err error
		if *into, err = derive(pairing, r, purpose); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// meaning is what a sum covers beside a payload. Each value comes with its length, or has a
// length that does not change, so that no two meanings have the same bytes.
type meaning []byte

func (m meaning) number(n uint64) meaning { return binary.BigEndian.AppendUint64(m, n) }

func (m meaning) text(s string) meaning { return append(m.number(uint64(len(s))), s...) }

func (m meaning) flag(b bool) meaning {
	if b {
		return append(m, 1)
	}
	return append(m, 0)
}

func (m meaning) position(p replication.Position) meaning {
	return m.number(p.Epoch.Generation).text(p.Epoch.ID).number(p.Term).number(p.Sequence)
}

// sum is over a meaning and the payload that has it.
func (k *key) sum(m meaning, payload []byte) sum {
	return k.sumOf(func(said meaning) meaning { return append(said, m...) }, payload)
}

// sumOf is sum of the meaning that mean appends.
func (k *key) sumOf(mean func(meaning) meaning, payload []byte) (s sum) {
	h := k.hashes.Get().(*hashing)
	defer k.hashes.Put(h)
	h.hash.Reset()
	h.said = mean(h.said[:0].number(0))
	binary.BigEndian.PutUint64(h.said, uint64(len(h.said)-8))
	h.hash.Write(h.said)
	h.hash.Write(payload)
	copy(s[:], h.hash.Sum(h.out[:0]))
	return s
}

func (k *key) holds(s []byte, m meaning, payload []byte) bool {
	want := k.sum(m, payload)
	return hmac.Equal(s, want[:])
}
