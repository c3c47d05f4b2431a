// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// record has the rows that a step replaces.
type record struct {
	ID   string `json:"id"`
	Rows []undo `json:"rows"`
	// State has the rows that the record is bound to, if the step does not write them.
	State []bound `json:"state"`
}

// undo is a row of a step.
type undo struct {
	Key    string `json:"key"`
	Exists bool   `json:"exists"` // before the step
	Before []byte `json:"before"`
	// After identifies the value that the step writes.
	After print `json:"after"`
}

// bound is a row that must not have changed.
type bound struct {
	Key string `json:"key"`
	Is  print  `json:"is"`
}

// print identifies a value; nil stands for none.
type print []byte

func printOf(e *physical.Entry) print {
	if e == nil {
		return nil
	}
	sum := sha256.Sum256(e.Value)
	return sum[:]
}

func (p print) is(e *physical.Entry) bool { return bytes.Equal(p, printOf(e)) }

// entry is the former row, nil if there was none.
func (u *undo) entry() *physical.Entry {
	if !u.Exists {
		return nil
	}
	return &physical.Entry{Key: u.Key, Value: u.Before}
}

// written says whether the step has written the row: storage has the step's value, or nothing if the write was cut.
func (u *undo) written(e *physical.Entry) bool { return e == nil || u.After.is(e) }

func newRecord() (*record, error) {
	id, err := uuid.GenerateUUID()
	if err != nil {
		return nil, err
	}
	return &record{ID: id}, nil
}

func (r *record) row(key string) *undo {
	for i := range r.Rows {
		if r.Rows[i].Key == key {
			return &r.Rows[i]
		}
	}
	return nil
}

// Key authenticates the records of a cluster with this root key.
func Key(root []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, root, nil, "vault-replication/step/v1", sha256.Size)
}

const headSize = crc32.Size + sha256.Size

// encode writes three parts: a CRC-32C (big-endian) of the other two, a MAC of the last, and the record as JSON.
func (r *record) encode(key []byte) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, crc32.Size, headSize+len(body)), mac(key, body)...)
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, checksum(b[crc32.Size:]))
	return b, nil
}

// errTorn is the error of a record whose own write was cut: nothing was written after it.
var errTorn = errors.New("the record of a step is torn")

// decode reads a record. The caller checks its proof.
func decode(b []byte) (*record, error) {
	if len(b) < headSize || binary.BigEndian.Uint32(b) != checksum(b[crc32.Size:]) {
		return nil, errTorn
	}
	var r record
	if err := (strictjson.Record{Name: "the record of a step"}).Decode(b[headSize:], &r); err != nil {
		return nil, err
	}
	for i := range r.Rows {
		if !Allowed(r.Rows[i].Key) {
			return nil, fmt.Errorf("the record of a step has the key %q, which no change of role writes", r.Rows[i].Key)
		}
	}
	return &r, nil
}

// proven says whether an encoded record was written with the key.
func proven(b, key []byte) bool {
	return len(key) > 0 && len(b) >= headSize && hmac.Equal(b[crc32.Size:headSize], mac(key, b[headSize:]))
}

func mac(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(body)
	return h.Sum(nil)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
