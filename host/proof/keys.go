// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Relation is what a pairing key is of.
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
	key   [KeySize]byte
	sum   [sumSize]byte
	nonce [nonceSize]byte
)

func newNonce() (n nonce) {
	// It never fails: without randomness the process ends.
	_, _ = rand.Read(n[:])
	return n
}

// derive makes the key of one purpose.
func derive(secret []byte, r Relation, purpose string) (k key, err error) {
	if len(secret) != KeySize {
		return k, fmt.Errorf("a key of %d bytes in place of %d", len(secret), KeySize)
	}
	info := fmt.Sprintf("vault-replication/proof/%s/v1 %q %q %q", purpose, r.Mode, r.SetID, r.SecondaryID)
	b, err := hkdf.Key(sha256.New, secret, nil, info, KeySize)
	copy(k[:], b)
	clear(b)
	return k, err
}

// keys are those of one relation.
type keys struct {
	cursor, question                      key // of the secondary's host
	frame, ranges, opening, answer, print key // of the primary's host
}

func deriveKeys(pairing []byte, r Relation) (*keys, error) {
	k := &keys{}
	for purpose, into := range map[string]*key{
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

// meaning is what a sum is over, beside a payload: each value with its length or of a
// length that does not change, so that no two meanings have the same bytes.
type meaning []byte

func (m meaning) number(n uint64) meaning { return binary.BigEndian.AppendUint64(m, n) }

func (m meaning) bytes(b []byte) meaning { return append(m.number(uint64(len(b))), b...) }

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
func (k *key) sum(m meaning, payload []byte) (s sum) {
	h := hmac.New(sha256.New, k[:])
	h.Write(meaning{}.bytes(m))
	h.Write(payload)
	var out [sha256.Size]byte
	copy(s[:], h.Sum(out[:0]))
	return s
}

func (k *key) holds(s []byte, m meaning, payload []byte) bool {
	want := k.sum(m, payload)
	return hmac.Equal(s, want[:])
}
