// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/digest"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// answerReads is how many keys, and lists of their names, an answer reads at most, so that it does not take long.
const answerReads = 64 << 10

// AnswerDiff answers a question of a secondary that compares; see [replication.Host]. The answer covers only keys that
// the slot's filter lets in.
func (p *contents) AnswerDiff(ctx context.Context, mode replication.Mode, slotID string, question []byte) (
	answer []byte, err error) {
	done, err := p.asking.take(ctx, walk.Reader{Mode: mode, Slot: slotID})
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := journal.DecodeQuestion(question)
	if err != nil {
		return nil, failure.Malformed(err)
	}
	j, _, err := p.journalOf(mode)
	if err != nil {
		return nil, err
	}
	sums := p.indexes.Sums(mode)
	if sums == nil {
		return nil, failure.Ended
	}
	// Without the sums the answer would have to read the storage, which takes longer than to wait.
	if err := sums.Wait(ctx); err != nil {
		return nil, err
	}
	err = p.filters.with(ctx, mode, slotID, func(allow allowed) error {
		answer, err = p.answer(ctx, j, mode, sums, allow, slotID, q)
		return err
	})
	return answer, err
}

func (p *contents) answer(ctx context.Context, j *Journal, mode replication.Mode, sums *fingerprint.Index,
	allow allowed, slotID string, q *journal.Question) (answer []byte, err error) {
	d := &digest.Digester{
		From: p.below, Hasher: sums.Hasher(), Index: sums,
		In:   func(key string) bool { return p.below.Classes().Replicated(mode, key) },
		Dirs: p.listings.Of(walk.Reader{Mode: mode, Slot: slotID}, q.From, p.below.Inner, p.below.AnyPrefix),
	}
	if allow != nil {
		all := d.In
		d.Index, d.In = nil, func(key string) bool { return all(key) && allow(key) }
	}
	a := &journal.Answer{}
	for size := 0; len(a.Ranges) < len(q.Asks) && size < RangeTarget && d.Read < answerReads; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ask := q.Asks[len(a.Ranges)]
		var rng journal.AnswerRange
		if ask.Level == journal.Values {
			rng.Pairs, rng.Cut, err = d.Pairs(ctx, ask, RangeTarget-size)
		} else {
			rng.Parts, err = d.Parts(ctx, ask.After, ask.UpTo, ask.Level)
		}
		if err != nil {
			return nil, err
		}
		a.Ranges = append(a.Ranges, rng)
		for i := range rng.Parts {
			size += len(rng.Parts[i].UpTo) + len(journal.Digest{}) + 4
		}
		for i := range rng.Pairs {
			size += len(rng.Pairs[i].Key) + len(rng.Pairs[i].Value)
		}
		if rng.Cut {
			break
		}
	}
	if j.ctx.Err() != nil {
		return nil, failure.Ended
	}
	a.AsOf = j.seq.Allocated()
	return a.Encode(q.Asks), nil
}
