// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

const (
	recordVersion = 1
	// recordMax bounds a record, in bytes: a storage must accept it as one value.
	recordMax = 1 << 20
)

// Head is the record from which a journal goes on after a restart.
type Head struct {
	Version int `json:"version"`
	// Term is the present term.
	Term uint64 `json:"term"`
	// Reserved is the highest number that may have been given out. After an orderly end it is exact.
	Reserved uint64 `json:"reserved"`
	// Finished is a number up to which all were finished.
	Finished uint64 `json:"finished,omitempty"`
	// Ended says that the term has ended in order.
	Ended bool `json:"ended,omitempty"`
	// RowsAfter says that no row up to this number is stored any more.
	RowsAfter uint64 `json:"rows_after"`
	// Terms are the terms whose rows may be stored, oldest first.
	Terms []TermStart `json:"terms"`
	// Marks show the size and the age of the retained rows.
	Marks Marks `json:"marks,omitempty"`
}

// TermStart says where the numbers of a term begin.
type TermStart struct {
	Term  uint64 `json:"term"`
	First uint64 `json:"first"`
	// Next is set when the term is over: the term streamed no number from Next on.
	Next uint64 `json:"next,omitempty"`
	// Sure is set when the term is over: all numbers up to Sure were finished when it ended. Above it there may be rows
	// whose write was never made, on storage that writes the row before the data.
	Sure uint64 `json:"sure,omitempty"`
	// Late is the highest number of a row that a deposed leader wrote after the next term had begun.
	Late uint64 `json:"late,omitempty"`
}

// Doubtful says whether the write of a row may never have been made.
func Doubtful(terms []TermStart, sequence uint64) bool {
	for i := len(terms) - 2; i >= 0; i-- {
		if terms[i].First <= sequence && sequence < terms[i+1].First {
			return sequence > terms[i].Sure
		}
	}
	return false
}

// Has says whether a journal with these terms has a position of its epoch. If not, gone says that the position proves a
// lost history.
func Has(terms []TermStart, at replication.Position) (has, gone bool) {
	for i, term := range terms {
		if term.Term != at.Term {
			continue
		}
		if i == len(terms)-1 {
			return true, false
		}
		// A record of a version before has no Next.
		next := cmp.Or(term.Next, terms[i+1].First)
		return at.Sequence < next, at.Sequence >= next
	}
	// A term whose rows are all deleted is not known any more.
	return false, len(terms) > 0 && at.Sequence >= terms[0].First
}

// termRandom is how many bits of a term are random. The others count the terms.
const termRandom = 40

// NewTerm is the term after another one. Storage that went back in time counts the same terms a second time; the random
// part tells them apart.
func NewTerm(after uint64) uint64 {
	var b [8]byte
	// Read never fails.
	_, _ = rand.Read(b[:])
	return (TermCount(after)+1)<<termRandom | binary.BigEndian.Uint64(b[:])>>(64-termRandom)
}

// TermCount is how many terms there were.
func TermCount(term uint64) uint64 { return term >> termRandom }

// TermAt is the term of a position. It differs from TermOf for numbers that no term has streamed: they belong to the
// next term, which has skipped them.
func TermAt(terms []TermStart, sequence uint64) uint64 {
	for i, t := range terms {
		if i == len(terms)-1 || sequence < t.Next || t.Next == 0 && sequence < terms[i+1].First {
			return t.Term
		}
	}
	return 0
}

// TermOf is the term that gave out a number; 0 for numbers before all terms.
func TermOf(terms []TermStart, sequence uint64) uint64 {
	var term uint64
	for _, t := range terms {
		if t.First > sequence {
			break
		}
		term = t.Term
	}
	return term
}

// Slot is the record of a slot.
type Slot struct {
	Version int                  `json:"version"`
	ID      string               `json:"id"`
	Acked   replication.Position `json:"acked"`
	// Opened is the sequence at which retention began. While Acked is at the same sequence, nothing was acknowledged.
	Opened uint64 `json:"opened,omitempty"`
	// Lost says why nothing is retained for the slot any more, empty while it holds.
	Lost string `json:"lost,omitempty"`
	// Cut counts how often in a row the slot was lost before anything was acknowledged, because a copy took longer than
	// the cap allows.
	Cut int `json:"cut,omitempty"`
	// Heard is when the secondary was last heard of, in seconds since 1970, 0 when not known. It may
	// be older than what is true.
	Heard int64 `json:"heard,omitempty"`
}

// Cursor is the record of how far a secondary has applied a mode.
type Cursor struct {
	Version        int                  `json:"version"`
	Position       replication.Position `json:"position"`
	Copying        bool                 `json:"copying,omitempty"`
	CopyFrom       replication.Position `json:"copy_from"`
	CopiedUpTo     []byte               `json:"copied_up_to,omitempty"`
	CopiedKeys     uint64               `json:"copied_keys,omitempty"`
	ConsistentFrom uint64               `json:"consistent_from"`
	// CopiedAll says that the last range was applied. CopyAsOf is the highest AsOf of the ranges. The end of the copy
	// needs both.
	CopiedAll bool   `json:"copied_all,omitempty"`
	CopyAsOf  uint64 `json:"copy_as_of,omitempty"`
	// Diffing says that the copy compares, range by range: the keys up to CopiedUpTo were found equal or made equal.
	Diffing bool `json:"diffing,omitempty"`
	// MustCopy says that no rows may be applied before a copy has begun.
	MustCopy bool `json:"must_copy,omitempty"`
	// Missing is how many keys the storage of this cluster refuses; their list is a
	// record of its own.
	Missing uint64 `json:"missing,omitempty"`
	// Given is the mark that the primary's host gave with Position, or with CopyFrom while Copying. This secondary shows
	// it to the primary. It may belong to an earlier position.
	Given []byte `json:"given,omitempty"`
}

// Contract is the record in the terms of the contract.
func (c *Cursor) Contract() *replication.Cursor {
	return &replication.Cursor{
		Position: c.Position, Copying: c.Copying, CopyFrom: c.CopyFrom, CopiedUpTo: string(c.CopiedUpTo),
		CopiedKeys: c.CopiedKeys, ConsistentFrom: c.ConsistentFrom, Missing: c.Missing, Proof: c.Given,
	}
}

// At says that two cursors are at the same place, whatever is due next.
func (c *Cursor) At(o *Cursor) bool {
	return c.Position == o.Position && c.Copying == o.Copying && c.CopyFrom == o.CopyFrom &&
		bytes.Equal(c.CopiedUpTo, o.CopiedUpTo) && c.CopiedAll == o.CopiedAll
}

// Encode sets the version and returns the stored form.
func (h *Head) Encode() ([]byte, error) { h.Version = recordVersion; return json.Marshal(h) }

// Encode sets the version and returns the stored form.
func (s *Slot) Encode() ([]byte, error) { s.Version = recordVersion; return json.Marshal(s) }

// Encode sets the version and returns the stored form.
func (c *Cursor) Encode() ([]byte, error) { c.Version = recordVersion; return json.Marshal(c) }

// DecodeHead reads a record, as DecodeSlot and DecodeCursor do.
func DecodeHead(b []byte) (*Head, error) {
	h := new(Head)
	if err := decodeRecord(b, h, "the record of the journal's head"); err != nil {
		return nil, err
	}
	if len(h.Marks) > MarksMax {
		return nil, fmt.Errorf("%w journal head record: %d marks are above the limit of %d", ErrCorrupt, len(h.Marks),
			MarksMax)
	}
	return h, nil
}

// DecodeSlot reads the record of a slot.
func DecodeSlot(b []byte) (*Slot, error) {
	s := new(Slot)
	if err := decodeRecord(b, s, "the record of a slot"); err != nil {
		return nil, err
	}
	if s.ID == "" || s.Cut < 0 {
		return nil, fmt.Errorf("%w slot record: it has no id, or was lost %d times", ErrCorrupt, s.Cut)
	}
	return s, nil
}

// DecodeCursor reads the record of a cursor.
func DecodeCursor(b []byte) (*Cursor, error) {
	c := new(Cursor)
	if err := decodeRecord(b, c, "the record of a cursor"); err != nil {
		return nil, err
	}
	if len(c.CopiedUpTo) > MaxKey {
		return nil, fmt.Errorf("%w cursor record: a key of %d bytes", ErrCorrupt, len(c.CopiedUpTo))
	}
	if len(c.Given) > replication.ProofMax {
		return nil, fmt.Errorf("%w cursor record: a proof of %d bytes", ErrCorrupt, len(c.Given))
	}
	return c, nil
}

func decodeRecord(b []byte, into any, name string) error {
	kind := strictjson.Record{Name: name, Version: recordVersion, Max: recordMax, Open: true}
	if err := kind.Decode(b, into); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
