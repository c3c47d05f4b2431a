// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// answerReads is after how many keys that were read, and questions to the storage for
// their names, an answer ends, so that it does not take long.
const answerReads = 64 << 10

// AnswerDiff answers what a secondary asks while it compares; see
// [replication.Host]. It speaks of what the slot's filter allows.
func (p *primary) AnswerDiff(ctx context.Context, mode replication.Mode, slotID string, question []byte) (answer []byte, err error) {
	done, err := p.asking.take(ctx, listingOf{mode, slotID})
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := journal.DecodeQuestion(question)
	if err != nil {
		return nil, malformed(err)
	}
	r := p.regime.Load()
	j, _, err := r.modeOf(mode)
	if err != nil {
		return nil, err
	}
	x := r.prints[mode]
	if x == nil {
		return nil, errEnded
	}
	// Until it is known, asking the storage itself would only take longer.
	if err := x.index.Wait(ctx); err != nil {
		return nil, err
	}
	err = p.filters.with(mode, slotID, func(allow allowed) error {
		answer, err = p.answer(ctx, j, x, allow, slotID, q)
		return err
	})
	return answer, err
}

func (p *primary) answer(ctx context.Context, j *activeJournal, x *print, allow allowed, slotID string, q *journal.Question) (answer []byte, err error) {
	d := &digester{
		from: p.backing, hasher: x.index.Hasher(), index: x.index,
		in:   func(key string) bool { return p.classes.Replicated(x.mode, key) },
		dirs: p.listings.of(listingKey{listingOf{x.mode, slotID}, q.From}, p.inner, p.anyPrefix),
	}
	if allow != nil {
		all := d.in
		d.index, d.in = nil, func(key string) bool { return all(key) && allow(key) }
	}
	a := &journal.Answer{}
	for size := 0; len(a.Ranges) < len(q.Asks) && size < rangeTarget && d.read < answerReads; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ask := q.Asks[len(a.Ranges)]
		var rng journal.AnswerRange
		if ask.Level == journal.Values {
			rng.Pairs, rng.Cut, err = d.pairs(ctx, ask, rangeTarget-size)
		} else {
			rng.Parts, err = d.parts(ctx, ask.After, ask.UpTo, ask.Level)
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
		return nil, errEnded
	}
	a.AsOf = j.seq.Allocated()
	return a.Encode(q.Asks), nil
}

// pairs reads a range up to about a size, at least one pair.
func (d *digester) pairs(ctx context.Context, ask journal.Ask, most int) (pairs []journal.Pair, cut bool, err error) {
	w, err := newWalkBetween(ctx, d.dirs, ask.After, ask.UpTo, &d.read)
	if err != nil {
		return nil, false, err
	}
	for size := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		keys, err := w.group(ctx, d.in, ask.UpTo)
		if err != nil || len(keys) == 0 {
			return pairs, false, err
		}
		values, err := d.from.readAt(ctx, keys)
		if err != nil {
			return nil, false, storageFailed("read a range of keys", err)
		}
		d.read += len(keys)
		for i, v := range values {
			if v == nil {
				continue
			}
			n := len(keys[i]) + len(v)
			if size > 0 && size+n > most {
				return pairs, true, nil
			}
			pairs = append(pairs, journal.Pair{Key: keys[i], Value: v})
			size += n
		}
	}
}
