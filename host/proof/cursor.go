// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"encoding/binary"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// mark is a position that a primary gave to a secondary, with the sum that shows it. The
// secondary only keeps it.
type mark struct {
	term, sequence uint64
	sum            sum
}

const markSize = 8 + 8 + sumSize

func (k *key) mark(at replication.Position) sum {
	return k.sumOf(func(m meaning) meaning { return m.position(at) }, nil)
}

// kept is the form in which a secondary keeps a mark with its cursor.
func (m mark) kept() replication.Proof {
	return replication.Proof(meaning(make([]byte, 0, markSize)).mark(m))
}

func (m meaning) mark(given mark) meaning {
	return append(m.number(given.term).number(given.sequence), given.sum[:]...)
}

func markOf(b []byte) (m mark, ok bool) {
	if len(b) != markSize {
		return m, false
	}
	m.term, m.sequence = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	copy(m.sum[:], b[16:])
	return m, true
}

// statement is what the proof of a cursor says. It names the copy that is under way or is
// next. It says up to where the secondary has the primary's content and, during a copy,
// from where the copy goes on.
type statement struct {
	copying bool
	copy    nonce
	at      replication.Position
	given   *mark
}

const statementVersion = 1

// encode is the proof.
func (s *statement) encode(k *key) replication.Proof {
	m := meaning(make([]byte, 0, 3+nonceSize+4*8+len(s.at.Epoch.ID)+markSize+sumSize))
	m = append(m, statementVersion).flag(s.copying).flag(s.given != nil)
	m = append(m, s.copy[:]...).position(s.at)
	if s.given != nil {
		m = m.mark(*s.given)
	}
	sum := k.sum(nil, m)
	return append(replication.Proof(m), sum[:]...)
}

// decodeStatement reads a proof that holds under the key; ok is false for any other.
func decodeStatement(k *key, proof replication.Proof) (s *statement, ok bool) {
	body := len(proof) - sumSize
	if body < 3+nonceSize+4*8 || len(proof) > replication.ProofMax || !k.holds(proof[body:], nil, proof[:body]) {
		return nil, false
	}
	// The other host has made this. It may be of another release.
	b := proof[:body]
	if b[0] != statementVersion {
		return nil, false
	}
	s = &statement{copying: b[1] == 1}
	marked := b[2] == 1
	b = b[3:]
	b = b[copy(s.copy[:], b):]
	s.at.Epoch.Generation = binary.BigEndian.Uint64(b)
	n := binary.BigEndian.Uint64(b[8:])
	if b = b[16:]; n > uint64(len(b)) {
		return nil, false
	}
	s.at.Epoch.ID = string(b[:n])
	if b = b[n:]; len(b) < 16 {
		return nil, false
	}
	s.at.Term, s.at.Sequence = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	if b = b[16:]; marked {
		m, ok := markOf(b)
		if !ok {
			return nil, false
		}
		s.given = &m
		b = nil
	}
	return s, len(b) == 0
}
