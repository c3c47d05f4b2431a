// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	frameVersion = 1
	rangeVersion = 1
)

// FrameEncoder collects rows into the payload of a [replication.Frame].
type FrameEncoder struct {
	body  []byte
	rows  uint64
	after uint64
}

// NewFrameEncoder begins a frame whose first row comes after a sequence.
func NewFrameEncoder(after uint64) *FrameEncoder { return &FrameEncoder{after: after} }

// Add appends the operations of one row; sequences must grow. A row without
// operations need not be added.
func (e *FrameEncoder) Add(sequence uint64, ops []Op) {
	e.body = binary.AppendUvarint(e.body, sequence-e.after)
	e.after = sequence
	e.body = binary.AppendUvarint(e.body, uint64(len(ops)))
	for i := range ops {
		op := &ops[i]
		e.body = append(e.body, byte(op.Kind))
		e.body = withLength(e.body, op.Key)
		if op.Kind == Put {
			e.body = withLength(e.body, op.Value)
		}
	}
	e.rows++
}

// Bytes is the size so far.
func (e *FrameEncoder) Bytes() int { return len(e.body) }

// Payload ends the frame.
func (e *FrameEncoder) Payload() []byte {
	b := make([]byte, 0, len(e.body)+16)
	b = append(b, frameVersion)
	b = binary.AppendUvarint(b, e.rows)
	return seal(append(b, e.body...))
}

// DecodeFrame reads the rows of a frame's payload, in order; their sequences
// are above after and not above to.
func DecodeFrame(payload []byte, after, to uint64) ([]Row, error) {
	r, err := openPayload(payload, frameVersion, "frame of journal rows")
	if err != nil {
		return nil, err
	}
	n := r.count(replication.PayloadMax, 2)
	rows := make([]Row, 0, min(n, 4096))
	for range n {
		r.spend(costRow)
		delta := r.uvarint()
		if r.err == nil && (delta == 0 || after >= to || delta > to-after) {
			r.fail("a row is out of order")
		}
		after += delta
		row := Row{Sequence: after}
		ops := r.count(MaxOps, 3)
		row.Ops = make([]Op, 0, min(ops, 4096))
		for range ops {
			var op Op
			r.spend(costOp)
			op.Kind, _ = r.kindClass()
			op.Key = r.key()
			if op.Kind == Put {
				op.Value = r.value()
			}
			if r.err != nil {
				return nil, r.err
			}
			row.Ops = append(row.Ops, op)
		}
		if r.err != nil {
			return nil, r.err
		}
		rows = append(rows, row)
	}
	return rows, r.end()
}

// Pair is a key with its value.
type Pair struct {
	Key   string
	Value []byte
}

// EncodeRange is the payload of a [replication.Range]: pairs in key order.
func EncodeRange(pairs []Pair) []byte {
	n := 32
	for i := range pairs {
		n += len(pairs[i].Key) + len(pairs[i].Value) + 2*binary.MaxVarintLen32
	}
	b := make([]byte, 0, n)
	b = append(b, rangeVersion)
	b = binary.AppendUvarint(b, uint64(len(pairs)))
	for i := range pairs {
		b = withLength(b, pairs[i].Key)
		b = withLength(b, pairs[i].Value)
	}
	return seal(b)
}

// DecodeRange reads the pairs of a range's payload; keys are strictly ascending.
func DecodeRange(payload []byte) ([]Pair, error) {
	r, err := openPayload(payload, rangeVersion, "range of keys")
	if err != nil {
		return nil, err
	}
	n := r.count(replication.PayloadMax, 3)
	pairs := make([]Pair, 0, min(n, 4096))
	for i := range n {
		r.spend(costOp)
		p := Pair{Key: r.key(), Value: r.value()}
		if r.err == nil && i > 0 && p.Key <= pairs[i-1].Key {
			r.fail("keys are out of order")
		}
		if r.err != nil {
			return nil, r.err
		}
		pairs = append(pairs, p)
	}
	return pairs, r.end()
}

//nolint:unparam // each form has a version of its own
func openPayload(payload []byte, version byte, what string) (*reader, error) {
	if len(payload) > replication.PayloadMax {
		return nil, fmt.Errorf("%w %s: %d bytes are above the limit of %d", ErrCorrupt, what, len(payload),
			replication.PayloadMax)
	}
	return open(payload, version, what)
}
