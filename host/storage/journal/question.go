// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"encoding/binary"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	questionVersion = 1
	answerVersion   = 1
	// AsksMax is the highest number of ranges in one question.
	AsksMax = 4096
	// PartsMax is the highest number of parts of an Ask.
	PartsMax = 1 << 20
	// LevelMax is the highest level of an Ask. At level 0 each key is a part.
	LevelMax = 64
	// questionBase is the memory that any question may take; the keys in a secondary's question have about 128 KiB.
	questionBase = 1 << 20
	// Values is the level that asks for the keys and values themselves.
	Values = LevelMax + 1
)

// Question is what a secondary asks its primary while it compares.
type Question struct {
	// From is the sequence at which the comparison began.
	From uint64
	// Asks are ranges in key order; they do not overlap.
	Asks []Ask
}

// Ask is one range of a question: the keys after one key, up to another. An empty After is the beginning, an empty UpTo
// the end of all keys.
type Ask struct {
	After, UpTo string
	// Level is the level of the keys at which the range is cut into parts, or Values.
	Level int
}

// Digest is the fingerprint of the pairs of a part, 128 bits of it.
type Digest [16]byte

// Part is a piece of a range.
type Part struct {
	// UpTo is its last possible key; empty if it has no end.
	UpTo   string
	Digest Digest
	Count  uint64
}

// Answer is the primary's answer to a question.
type Answer struct {
	// AsOf is the highest sequence whose write the answer may include.
	AsOf uint64
	// Ranges answer the first asks of the question; an answer may end before the last.
	Ranges []AnswerRange
}

// AnswerRange answers one Ask.
type AnswerRange struct {
	// Parts cover the whole range, if parts were asked for.
	Parts []Part
	// Pairs are the keys and values, if those were asked for. Cut says that they end before the range does: the rest of
	// the range is not answered.
	Pairs []Pair
	Cut   bool
}

// keyWriter writes of a key only the length of the part that it shares with the former key of the message, and the
// rest. Neighbouring keys have much in common, because the names of views are long.

type keyWriter struct {
	b    []byte
	last string
}

func (w *keyWriter) key(key string) {
	n := 0
	for n < len(key) && n < len(w.last) && key[n] == w.last[n] {
		n++
	}
	w.number(uint64(n))
	w.number(uint64(len(key) - n))
	w.b = append(w.b, key[n:]...)
	w.last = key
}

func (w *keyWriter) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

type keyReader struct {
	*reader
	last string
}

// maybe reads a key that may be empty.
func (r *keyReader) maybe() string {
	n := r.uvarint()
	if n > uint64(len(r.last)) {
		r.fail("a key shares %d bytes with one of %d", n, len(r.last))
		return ""
	}
	more := r.uvarint()
	if n+more > MaxKey || more > MaxKey {
		r.fail("a key of %d bytes", n+more)
		return ""
	}
	// The shared part takes memory, but no byte of the message.
	if r.spend(costOp + int(n+more)); r.err != nil {
		return ""
	}
	key := r.last[:n] + string(r.bytes(int(more)))
	r.last = key
	return key
}

// Encode is the form of the question on the link.
func (q *Question) Encode() []byte {
	w := keyWriter{b: []byte{questionVersion}}
	w.number(q.From)
	w.number(uint64(len(q.Asks)))
	for _, a := range q.Asks {
		w.b = append(w.b, byte(a.Level))
		w.key(a.After)
		w.key(a.UpTo)
	}
	return seal(w.b)
}

// DecodeQuestion reads what Encode made.
func DecodeQuestion(b []byte) (*Question, error) {
	in, err := openPayload(b, questionVersion, "question about ranges of keys")
	if err != nil {
		return nil, err
	}
	r := &keyReader{reader: in}
	r.left = questionBase + costFactor*len(b)
	q := &Question{From: r.uvarint()}
	n := r.count(AsksMax, 5)
	end := ""
	for i := range n {
		var a Ask
		if level := r.bytes(1); r.err == nil {
			a.Level = int(level[0])
		}
		a.After, a.UpTo = r.maybe(), r.maybe()
		switch {
		case r.err != nil:
			return nil, r.err
		case a.Level > Values:
			r.fail("%d is no level", a.Level)
		case a.UpTo != "" && a.UpTo <= a.After:
			r.fail("a range ends before it begins")
		case i > 0 && (end == "" || a.After < end):
			r.fail("ranges are out of order")
		}
		end = a.UpTo
		q.Asks = append(q.Asks, a)
	}
	return q, r.end()
}

// Encode is the form of the answer on the link; asks are those that it answers.
func (a *Answer) Encode(asks []Ask) []byte {
	w := keyWriter{b: []byte{answerVersion}}
	w.number(a.AsOf)
	w.number(uint64(len(a.Ranges)))
	for i := range a.Ranges {
		rng := &a.Ranges[i]
		if asks[i].Level != Values {
			w.number(uint64(len(rng.Parts)))
			for j := range rng.Parts {
				p := &rng.Parts[j]
				if j < len(rng.Parts)-1 { // the last ends where the range does
					w.key(p.UpTo)
				}
				w.b = append(w.b, p.Digest[:]...)
				w.number(p.Count)
			}
			continue
		}
		w.b = append(w.b, boolByte(rng.Cut))
		w.number(uint64(len(rng.Pairs)))
		for j := range rng.Pairs {
			w.key(rng.Pairs[j].Key)
			w.b = withLength(w.b, rng.Pairs[j].Value)
		}
	}
	return seal(w.b)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// DecodeAnswer reads what Encode made for the asks of a question, and checks that
// it answers them.
func DecodeAnswer(b []byte, asks []Ask) (*Answer, error) {
	in, err := openPayload(b, answerVersion, "answer about ranges of keys")
	if err != nil {
		return nil, err
	}
	r := &keyReader{reader: in}
	a := &Answer{AsOf: r.uvarint()}
	n := r.count(uint64(len(asks)), 2)
	for i := range n {
		var rng AnswerRange
		r.spend(costOp)
		if asks[i].Level != Values {
			rng.Parts = r.parts(asks[i])
		} else {
			rng.Pairs, rng.Cut = r.pairs(asks[i])
		}
		if r.err != nil {
			return nil, r.err
		}
		a.Ranges = append(a.Ranges, rng)
	}
	return a, r.end()
}

func (r *keyReader) parts(ask Ask) []Part {
	n := r.count(PartsMax, len(Digest{})+1)
	if n == 0 {
		r.fail("a range has no parts")
	}
	parts := make([]Part, 0, min(n, 4096))
	after := ask.After
	for j := range n {
		p := Part{UpTo: ask.UpTo}
		r.spend(costOp)
		if j < n-1 {
			p.UpTo = r.maybe()
			if p.UpTo <= after || (ask.UpTo != "" && p.UpTo > ask.UpTo) {
				r.fail("parts are out of order")
			}
			after = p.UpTo
		}
		copy(p.Digest[:], r.bytes(len(p.Digest)))
		p.Count = r.uvarint()
		if r.err != nil {
			return nil
		}
		parts = append(parts, p)
	}
	return parts
}

func (r *keyReader) pairs(ask Ask) (pairs []Pair, cut bool) {
	if flag := r.bytes(1); r.err == nil {
		cut = flag[0] == 1
	}
	n := r.count(replication.PayloadMax, 3)
	pairs = make([]Pair, 0, min(n, 4096))
	after := ask.After
	for range n {
		p := Pair{Key: r.maybe(), Value: r.value()}
		if r.err == nil && (p.Key <= after || (ask.UpTo != "" && p.Key > ask.UpTo)) {
			r.fail("a key is outside the range that was asked for, or out of order")
		}
		if r.err != nil {
			return nil, false
		}
		after = p.Key
		pairs = append(pairs, p)
	}
	if cut && n == 0 {
		r.fail("a range has no pairs and does not end")
	}
	return pairs, cut
}
