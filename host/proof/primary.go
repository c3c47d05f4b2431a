// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"context"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Journal is the storage of a primary. [storage.Tap] implements it.
type Journal interface {
	Position(mode replication.Mode) (*replication.JournalPosition, error)
	Filtered(mode replication.Mode, id string) bool
	Given(mode replication.Mode, at replication.Position)
	HistoryLost() bool
	OpenSlot(ctx context.Context, mode replication.Mode, id string) (replication.Position, error)
	SlotSeen(mode replication.Mode, id string) error
	AckSlot(ctx context.Context, mode replication.Mode, id string, at replication.Position) error
	CloseSlot(ctx context.Context, mode replication.Mode, id string) error
	ReadJournal(ctx context.Context, mode replication.Mode, id string, after replication.Position) (
		replication.FrameReader, error)
	ReadRange(ctx context.Context, mode replication.Mode, id, after string) (*replication.Range, error)
	AnswerDiff(ctx context.Context, mode replication.Mode, id string, question []byte) ([]byte, error)
}

// Primary is the primary's side of a relation: it proves what goes to one secondary's host,
// and checks what comes from it.
type Primary struct {
	store   Journal
	of      Relation
	keys    *keys
	own     *key
	refused func(error)
	over    atomic.Bool
}

// NewPrimary makes the primary's side. Pairing is the key that both hosts have, own is a
// key that the primary alone has for this secondary. Refused hears of each message that is
// refused; it may be nil.
func NewPrimary(store Journal, r Relation, pairing, own []byte, refused func(error)) (*Primary, error) {
	p := &Primary{store: store, of: r, refused: refused}
	var err error
	if p.keys, err = deriveKeys(pairing, r); err != nil {
		return nil, err
	}
	p.own, err = derive(own, r, "primary/given")
	return p, err
}

// End ends the relation: the secondary was revoked and gets nothing any more.
func (p *Primary) End() { p.over.Store(true) }

func (p *Primary) ended() error {
	if p.over.Load() {
		return replication.Errorf(replication.Denied, "the secondary %q was revoked", p.of.SecondaryID)
	}
	return nil
}

func (p *Primary) refuse(what string) error {
	err := replication.Errorf(replication.Denied,
		"the %s that came for the secondary %q was not made by its host, so nothing was done: something between the hosts "+
			"has changed it or sent an old one again, or the secondary has another activation token",
		what, p.of.SecondaryID)
	if p.refused != nil {
		p.refused(err)
	}
	return err
}

// statement checks what the secondary's host says.
func (p *Primary) statement(proof replication.Proof) (*statement, error) {
	if err := p.ended(); err != nil {
		return nil, err
	}
	s, ok := decodeStatement(p.keys.cursor, proof)
	if !ok {
		return nil, p.refuse("position")
	}
	if m := s.given; m != nil {
		at := replication.Position{Epoch: s.at.Epoch, Term: m.term, Sequence: m.sequence}
		// Any other mark comes from an earlier primary, or is a lie.
		if m.sum == p.own.mark(at) {
			p.store.Given(p.of.Mode, at)
		}
	}
	return s, nil
}

// stands says whether a secondary is at a position or past it.
func (p *Primary) stands(at replication.Position, proof replication.Proof) (exactly bool, err error) {
	s, err := p.statement(proof)
	switch {
	case err != nil:
		return false, err
	case s.at == at:
		return true, nil
	case s.at.Epoch == at.Epoch && s.at.Sequence > at.Sequence:
		return false, nil
	}
	return false, p.refuse("position")
}

// Position is the journal's. Fingerprint and number of keys are for a secondary without a paths filter.
func (p *Primary) Position() (*replication.JournalPosition, error) {
	if err := p.ended(); err != nil {
		return nil, err
	}
	at, err := p.store.Position(p.of.Mode)
	if err != nil {
		return nil, err
	}
	if p.store.Filtered(p.of.Mode, p.of.SecondaryID) {
		at.Fingerprint, at.Keys = nil, 0
	}
	if len(at.Fingerprint) > 0 {
		s := p.keys.print.sum(meaning{}.position(at.Position), at.Fingerprint)
		at.Proof = s[:]
	}
	return at, nil
}

// OpenSlot opens the slot of the secondary for the copy that its cursor names.
func (p *Primary) OpenSlot(ctx context.Context, secondary replication.Proof) (*replication.Opening, error) {
	s, err := p.statement(secondary)
	if err != nil {
		return nil, err
	}
	if p.store.HistoryLost() {
		return nil, replication.Errorf(replication.Unavailable,
			"the storage of this primary has gone back in time, and it is beginning a new epoch: try again in a moment")
	}
	at, err := p.store.OpenSlot(ctx, p.of.Mode, p.of.SecondaryID)
	if err != nil {
		return nil, err
	}
	if err := p.ended(); err != nil {
		// The secondary was revoked meanwhile. Its slot may have been closed before it was
		// opened.
		_ = p.store.CloseSlot(context.WithoutCancel(ctx), p.of.Mode, p.of.SecondaryID)
		return nil, err
	}
	given := p.own.mark(at)
	sum := p.keys.opening.sum(openingMeaning(s.copy, at, given), nil)
	return &replication.Opening{Position: at, Proof: append(sum[:], given[:]...)}, nil
}

// AckSlot acknowledges what the secondary has. At the zero position it says only that the
// secondary is there.
func (p *Primary) AckSlot(ctx context.Context, at replication.Position, secondary replication.Proof) error {
	if at == (replication.Position{}) {
		if err := p.ended(); err != nil {
			return err
		}
		return p.store.SlotSeen(p.of.Mode, p.of.SecondaryID)
	}
	if _, err := p.stands(at, secondary); err != nil {
		return err
	}
	return p.store.AckSlot(ctx, p.of.Mode, p.of.SecondaryID, at)
}

// ReadJournal reads the journal after the secondary's position.
func (p *Primary) ReadJournal(ctx context.Context, after replication.Position, secondary replication.Proof) (
	replication.FrameReader, error) {
	exactly, err := p.stands(after, secondary)
	if err == nil && !exactly {
		err = p.refuse("position")
	}
	if err != nil {
		return nil, err
	}
	r, err := p.store.ReadJournal(ctx, p.of.Mode, p.of.SecondaryID, after)
	if err != nil {
		return nil, err
	}
	return &frames{FrameReader: r, p: p}, nil
}

type frames struct {
	replication.FrameReader
	p *Primary
}

// Next implements [replication.FrameReader].
func (r *frames) Next() (*replication.Frame, error) {
	f, err := r.FrameReader.Next()
	if err == nil {
		err = r.p.ended()
	}
	if err != nil {
		return nil, err
	}
	given := r.p.own.mark(f.To)
	sum := r.p.keys.frame.frame(f, given)
	f.Proof = append(append(make(replication.Proof, 0, 2*sumSize), sum[:]...), given[:]...)
	return f, nil
}

// ReadRange reads a range for the copy that the cursor of the secondary names.
func (p *Primary) ReadRange(ctx context.Context, after string, secondary replication.Proof) (*replication.Range,
	error) {
	s, err := p.statement(secondary)
	if err == nil && !s.copying {
		err = replication.Errorf(replication.InvalidInput, "a range is read for a copy, and the secondary %q has begun none",
			p.of.SecondaryID)
	}
	if err != nil {
		return nil, err
	}
	r, err := p.store.ReadRange(ctx, p.of.Mode, p.of.SecondaryID, after)
	if err != nil {
		return nil, err
	}
	sum := p.keys.ranges.sum(rangeMeaning(s.copy, r), r.Payload)
	r.Proof = sum[:]
	return r, nil
}

// AnswerDiff answers a question of the secondary's host.
func (p *Primary) AnswerDiff(ctx context.Context, question []byte) ([]byte, error) {
	if err := p.ended(); err != nil {
		return nil, err
	}
	asked, body, ok := openQuestion(p.keys.question, question)
	if !ok {
		return nil, p.refuse("question about ranges of keys")
	}
	answer, err := p.store.AnswerDiff(ctx, p.of.Mode, p.of.SecondaryID, body)
	if err != nil {
		return nil, err
	}
	sum := p.keys.answer.sum(meaning(asked[:]), answer)
	return append(answer, sum[:]...), nil
}
