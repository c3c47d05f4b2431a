// SPDX-License-Identifier: MPL-2.0

package fingerprint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	headName = "head"
	// formatVersion is the version of the rows; no other version is read.
	formatVersion = 1
	macSize       = 16
	// maxKey and maxRanges bound what is decoded.
	maxKey    = 64 << 10
	maxRanges = 4096
)

// HeadOf is the head of a directory, without which no row there counts.
func HeadOf(home string) string { return home + headName }

// IsHead says whether a row is a head.
func IsHead(row string) bool { return strings.HasSuffix(row, "/"+headName) }

// Stored is a block of ranges as it is stored. It begins after the key After and ends with the last range.
type Stored struct {
	Row    string
	After  string
	Ranges []Range
}

// UpTo is the key that the block ends at, empty for the last one.
func (s *Stored) UpTo() string { return s.Ranges[len(s.Ranges)-1].UpTo }

// RowOf is the key of the row of a block that begins after a key.
func (h *Hasher) RowOf(home, after string) string {
	d := h.get()
	d.Write([]byte("row"))
	d.Write([]byte(after))
	b := h.finish(d).Bytes()
	return home + hex.EncodeToString(b[:8])
}

// seal adds a code over a row and its key. Nobody can make it without the secret.
func (h *Hasher) seal(row string, body []byte) []byte {
	mac := h.mac(row, body)
	return append(body, mac[:]...)
}

func (h *Hasher) open(row string, b []byte) ([]byte, error) {
	if len(b) < macSize+1 {
		return nil, errors.New("it is too short")
	}
	body := b[:len(b)-macSize]
	if mac := h.mac(row, body); !bytes.Equal(mac[:], b[len(body):]) {
		return nil, errors.New("its code is wrong")
	}
	if body[0] != formatVersion {
		return nil, fmt.Errorf("its version is %d, this one reads %d", body[0], formatVersion)
	}
	return body[1:], nil
}

func (h *Hasher) mac(row string, body []byte) (out [macSize]byte) {
	d := h.get()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(row)))
	d.Write([]byte("stored"))
	d.Write(n[:])
	d.Write([]byte(row))
	d.Write(body)
	b := h.finish(d).Bytes()
	copy(out[:], b[:])
	return out
}

// EncodeHead makes a head. counted identifies which keys were counted, owner the node that owns the index.
func (h *Hasher) EncodeHead(row string, counted, owner [16]byte) []byte {
	body := append([]byte{formatVersion}, counted[:]...)
	return h.seal(row, append(body, owner[:]...))
}

// DecodeHead reads a head of any owner.
func (h *Hasher) DecodeHead(row string, b []byte) (counted [16]byte, err error) {
	body, err := h.open(row, b)
	if err == nil && len(body) != 32 {
		err = errors.New("its length is wrong")
	}
	if err != nil {
		return counted, fmt.Errorf("the head of a stored index cannot be used: %w", err)
	}
	copy(counted[:], body)
	return counted, nil
}

// Encode makes the row of a block. Neighbouring keys have much in common, so of each key only the length of the part
// that it shares with the former one, and the rest, are stored.
func (h *Hasher) Encode(s *Stored) []byte {
	b := binary.AppendUvarint([]byte{formatVersion}, uint64(len(s.After)))
	b = append(b, s.After...)
	b = binary.AppendUvarint(b, uint64(len(s.Ranges)))
	last := s.After
	for i := range s.Ranges {
		r := &s.Ranges[i]
		n := 0
		for n < len(last) && n < len(r.UpTo) && last[n] == r.UpTo[n] {
			n++
		}
		b = binary.AppendUvarint(b, uint64(n))
		b = binary.AppendUvarint(b, uint64(len(r.UpTo)-n))
		b = append(b, r.UpTo[n:]...)
		b = binary.AppendUvarint(b, r.Count)
		sum := r.Sum.Bytes()
		b = append(b, sum[:]...)
		last = r.UpTo
	}
	return h.seal(s.Row, b)
}

// Decode reads the row of a block. It refuses what Encode does not make.
func (h *Hasher) Decode(row string, b []byte) (*Stored, error) {
	body, err := h.open(row, b)
	if err == nil {
		var s *Stored
		if s, err = parse(row, body, h.Level); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("a row of the stored index cannot be used: %w", err)
}

// Span says between which keys the block of a row is: after one, up to another, which is empty for no end. Without the
// secret nothing else in a row may be used. ok is false if the row cannot be read.
func Span(b []byte) (after, upTo string, ok bool) {
	if len(b) <= macSize+1 || b[0] != formatVersion {
		return "", "", false
	}
	s, err := parse("", b[1:len(b)-macSize], func(string) int { return 0 })
	if err != nil {
		return "", "", false
	}
	return s.After, s.UpTo(), true
}

func parse(row string, body []byte, level func(string) int) (*Stored, error) {
	p := parser{rest: body}
	s := &Stored{Row: row, After: string(p.bytes(maxKey))}
	n := p.number(maxRanges)
	if p.err == nil && n == 0 {
		return nil, errors.New("it has no ranges")
	}
	last := s.After
	for i := uint64(0); i < n && p.err == nil; i++ {
		shared := p.number(uint64(len(last)))
		if p.err != nil {
			break
		}
		r := Range{UpTo: last[:shared] + string(p.bytes(maxKey))}
		switch {
		case r.UpTo == "" && i == n-1:
		case r.UpTo <= last || len(r.UpTo) > maxKey:
			return nil, errors.New("its ranges are not in order")
		default:
			r.level = uint8(level(r.UpTo))
		}
		r.Count = p.number(1<<63 - 1)
		r.Sum = sumOf(p.take(32))
		s.Ranges = append(s.Ranges, r)
		last = r.UpTo
	}
	if p.err == nil && len(p.rest) > 0 {
		p.err = errors.New("it is too long")
	}
	return s, p.err
}

// parser takes a row apart; after an error it gives zeros.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) number(most uint64) uint64 {
	n, size := binary.Uvarint(p.rest)
	if p.err == nil && (size <= 0 || n > most) {
		p.err = errors.New("it has a number that is out of bounds")
	}
	if p.err != nil {
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) bytes(most uint64) []byte { return p.take(int(p.number(most))) }

func (p *parser) take(n int) []byte {
	if p.err == nil && len(p.rest) < n {
		p.err = errors.New("it is too short")
	}
	if p.err != nil {
		return make([]byte, n)
	}
	out := p.rest[:n]
	p.rest = p.rest[n:]
	return out
}
