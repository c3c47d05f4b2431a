// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"bytes"
	"context"
	"crypto/hmac"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// GenerationMax is the highest generation of an epoch. No cluster is promoted that often.
const GenerationMax = 1 << 40

// Content is the storage of a secondary. [secondary.Secondary] implements it. It keeps the proofs
// of a cursor, a frame and an opening, and returns them unchanged.
type Content interface {
	Cursor(ctx context.Context) (*replication.Cursor, error)
	BeginCopy(ctx context.Context, from replication.Position, given replication.Proof) error
	ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error)
	Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error)
	Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint) error
	EndCopy(ctx context.Context) (*replication.Cursor, error)
	ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error)
}

// Secondary is the secondary's side of a relation: it proves what goes to the primary's
// host, and checks what comes from it. There is one for each mode. It is paired anew when
// the relation changes.
type Secondary struct {
	store   Content
	refused func(error)

	// copies keeps a range or an answer that was checked for one copy from being applied
	// after another copy has begun.
	copies sync.Mutex

	mu      sync.Mutex
	of      Relation
	pairing []byte
	keys    *keys
	// copy is the name of the copy that is under way or is next.
	copy nonce
	// asked is the question that an answer is awaited for.
	asked *sum
}

// NewSecondary makes the secondary's side, not paired yet. Refused hears of each message
// that is refused; it may be nil.
func NewSecondary(store Content, refused func(error)) *Secondary {
	return &Secondary{store: store, refused: refused}
}

// Pair sets the relation. Nothing of another relation counts any more. Without a pairing
// key, as in a cluster that has no primary, nothing counts.
func (s *Secondary) Pair(r Relation, pairing []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == r && bytes.Equal(s.pairing, pairing) {
		return nil
	}
	s.unpair()
	if len(pairing) == 0 {
		return nil
	}
	k, err := deriveKeys(pairing, r)
	if err != nil {
		return err
	}
	s.of, s.pairing, s.keys = r, bytes.Clone(pairing), k
	return nil
}

// Unpair forgets the relation.
func (s *Secondary) Unpair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpair()
}

func (s *Secondary) unpair() {
	clear(s.pairing)
	s.of, s.pairing, s.keys = Relation{}, nil, nil
	s.copy, s.asked = newNonce(), nil
}

// paired are the keys, and the copy.
func (s *Secondary) paired() (*keys, nonce, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, nonce{}, replication.Errorf(replication.Denied,
			"this secondary shares no key with a primary, so nothing is taken from one: use update-primary with a token of "+
				"its primary")
	}
	return s.keys, s.copy, nil
}

func (s *Secondary) refuse(what string) error {
	err := replication.Errorf(replication.Denied,
		"the %s that came is not what the primary's host has sent for this place, so nothing of it was applied: something "+
			"between the hosts has changed it or sent an old one again, or the primary has another activation token for this "+
			"secondary",
		what)
	if s.refused != nil {
		s.refused(err)
	}
	return err
}

// Prove adds the proof to a cursor of the storage.
func (s *Secondary) Prove(c *replication.Cursor) *replication.Cursor {
	if c == nil {
		return nil
	}
	given, marked := markOf(c.Proof)
	c.Proof = nil
	k, copying, err := s.paired()
	if err != nil {
		return c
	}
	st := statement{copying: c.Copying, copy: copying, at: c.Position}
	if c.Copying {
		st.at = c.CopyFrom
	}
	if marked {
		st.given = &given
	}
	c.Proof = st.encode(k.cursor)
	return c
}

// Cursor is that of the storage, with its proof.
func (s *Secondary) Cursor(ctx context.Context) (*replication.Cursor, error) {
	c, err := s.store.Cursor(ctx)
	return s.Prove(c), err
}

// BeginCopy begins the copy that an opening of the primary's host allows.
func (s *Secondary) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	s.copies.Lock()
	defer s.copies.Unlock()
	k, copying, err := s.paired()
	if err != nil {
		return nil, err
	}
	if len(from.Proof) != 2*sumSize {
		return nil, s.refuse("beginning of a copy")
	}
	given := sum(from.Proof[sumSize:])
	if !k.opening.holds(from.Proof[:sumSize], openingMeaning(copying, from.Position, given), nil) {
		return nil, s.refuse("beginning of a copy")
	}
	if err := s.checkEpoch(ctx, from.Position.Epoch); err != nil {
		return nil, err
	}
	// An opening is valid for one copy. What was read for the copy before is not valid for
	// this one.
	s.mu.Lock()
	s.copy, s.asked = newNonce(), nil
	s.mu.Unlock()
	kept := mark{term: from.Position.Term, sequence: from.Position.Sequence, sum: given}.kept()
	if err := s.store.BeginCopy(ctx, from.Position, kept); err != nil {
		return nil, err
	}
	return s.Cursor(ctx)
}

// checkEpoch lets a secondary follow its primary into a newer history, and never back or
// across.
func (s *Secondary) checkEpoch(ctx context.Context, epoch replication.Epoch) error {
	c, err := s.store.Cursor(ctx)
	if err != nil {
		return err
	}
	have := c.Position.Epoch
	if c.Copying {
		have = c.CopyFrom.Epoch
	}
	switch {
	case epoch.Generation > GenerationMax:
		return replication.Errorf(replication.InvalidInput, "the epoch %s of the primary has a generation above %d: "+
			"nothing is copied from it", epoch, uint64(GenerationMax))
	case epoch != have && epoch.Generation <= have.Generation:
		return replication.Errorf(replication.InvalidInput,
			"this secondary has data of the epoch %s, which does not lead to the epoch %s of the primary: nothing is copied "+
				"from it", have, epoch)
	}
	return nil
}

// ApplyRange applies a range that was read for the copy that is under way.
func (s *Secondary) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	s.copies.Lock()
	defer s.copies.Unlock()
	k, copying, err := s.paired()
	if err != nil {
		return nil, err
	}
	if r == nil || !k.ranges.holds(r.Proof, rangeMeaning(copying, r), r.Payload) {
		return nil, s.refuse("range of keys")
	}
	c, err := s.store.ApplyRange(ctx, r)
	return s.Prove(c), err
}

// Diff takes the answer to its last question, once, and returns the next question.
func (s *Secondary) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	s.copies.Lock()
	defer s.copies.Unlock()
	k, _, err := s.paired()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	asked := s.asked
	s.asked = nil
	s.mu.Unlock()
	if answer != nil {
		body := len(answer) - sumSize
		if body < 0 || asked == nil || !k.answer.holds(answer[body:], meaning(asked[:]), answer[:body]) {
			return nil, s.refuse("answer of a comparison")
		}
		answer = answer[:body]
	}
	step, err := s.store.Diff(ctx, answer)
	if err != nil {
		return nil, err
	}
	if len(step.Question) > 0 {
		sealed, asked := sealQuestion(k.question, step.Question)
		step.Question = sealed
		s.mu.Lock()
		if s.keys == k {
			s.asked = &asked
		}
		s.mu.Unlock()
	}
	s.Prove(step.Cursor)
	return step, nil
}

// Verify takes a fingerprint of the primary's.
func (s *Secondary) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	k, _, err := s.paired()
	if err != nil {
		return err
	}
	if !k.print.holds(primary, meaning{}.position(at), fingerprint) {
		return s.refuse("fingerprint")
	}
	return s.store.Verify(ctx, at, fingerprint)
}

// EndCopy ends the copy; the storage knows whether all of it was applied.
func (s *Secondary) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	c, err := s.store.EndCopy(ctx)
	return s.Prove(c), err
}

// ApplyFrame applies a frame of the primary's.
func (s *Secondary) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	k, _, err := s.paired()
	if err != nil {
		return nil, err
	}
	if f == nil || len(f.Proof) != 2*sumSize {
		return nil, s.refuse("frame of changes")
	}
	given := sum(f.Proof[sumSize:])
	if want := k.frame.frame(f, given); !hmac.Equal(f.Proof[:sumSize], want[:]) {
		return nil, s.refuse("frame of changes")
	}
	proven := *f
	proven.Proof = mark{term: f.To.Term, sequence: f.To.Sequence, sum: given}.kept()
	c, err := s.store.ApplyFrame(ctx, &proven)
	return s.Prove(c), err
}
