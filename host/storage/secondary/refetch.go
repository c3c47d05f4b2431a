// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// refetchWait is the pause after a key was refused again; it doubles up to refetchWaitMax. After a restart the storage
	// may have other limits, so the first attempt comes at once.
	refetchWait    = time.Minute
	refetchWaitMax = time.Hour
	// recompareWait and recompareWaitMax are the pauses between comparisons, which alone find keys that are only counted.
	recompareWait    = time.Hour
	recompareWaitMax = 24 * time.Hour
	// refetchAsks is how many keys are asked for at once.
	refetchAsks = 32
)

// asked has the ranges of the question about missing keys that is under way, in key order. The answer is as of some
// moment after the question. A row that is applied meanwhile may be newer, so it overtakes its ranges: the answer about
// them is not used.
type asked struct {
	asks      []journal.Ask
	mu        sync.Mutex // the writes of one apply are concurrent
	overtaken []bool
}

// ask begins with the ranges of a question, or with none.
func (q *asked) ask(asks []journal.Ask) {
	q.asks, q.overtaken = asks, make([]bool, len(asks))
}

// overtake notes writes before they are made, even if the storage then refuses them.
func (q *asked) overtake(writes []*physical.TxnEntry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, ask := range q.asks {
		q.overtaken[i] = q.overtaken[i] || slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
			return ask.After < e.Entry.Key && e.Entry.Key <= ask.UpTo
		})
	}
}

// refetch says when refused keys of one mode are asked for again. It is guarded by debt.applying.
type refetch struct {
	wait, compareWait time.Duration
	due, compareDue   time.Time
	rest              []string // keys that this round has still to ask for
	under             bool     // a round is under way
	before            uint64   // missing when it began
	epoch             replication.Epoch
}

// fetchMissing is Diff while no copy is under way: it asks for the missing keys by name when they are due. Done says
// that there is no question now.
func (s *comparison) fetchMissing(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c.Copying || c.MustCopy {
		return nil, replication.Errorf(replication.Unavailable, "a comparison has begun meanwhile")
	}
	f := &s.refetch
	a, err := s.readLacking(ctx, c)
	if err != nil {
		return nil, err
	}
	switch now := time.Now(); {
	case answer == nil:
		f.under, f.rest = false, nil
		s.asked.ask(nil)
		if a.list.Len() == 0 {
			return &replication.DiffStep{Done: true, Cursor: c.Contract()}, nil
		}
		if a.list.More() > 0 && !now.Before(f.compareDue) {
			f.compareWait = min(max(2*f.compareWait, recompareWait), recompareWaitMax)
			f.compareDue = now.Add(f.compareWait)
			return nil, replication.Errorf(replication.PositionLost, "not all keys that the storage of this cluster has "+
				"refused are known by name, so it is compared what is missing")
		}
		if now.Before(f.due) {
			return &replication.DiffStep{Done: true, Cursor: c.Contract()}, nil
		}
		f.under, f.epoch, f.before = true, c.Position.Epoch, a.list.Len()
		for _, k := range a.list.Keys() {
			f.rest = append(f.rest, k.Key)
		}
	case !f.under || f.epoch != c.Position.Epoch || len(s.asked.asks) == 0:
		return nil, replication.Errorf(replication.Unavailable, "an answer about missing keys came that was not asked for: "+
			"they are asked for again")
	default:
		if c, err = s.takeMissing(ctx, f, a, c, answer); err != nil {
			f.under = false
			return nil, err
		}
	}
	q := f.next(c)
	s.asked.ask(q.Asks)
	step := &replication.DiffStep{Cursor: c.Contract(), Done: len(q.Asks) == 0}
	if step.Done {
		f.end(a.list.Len())
	} else {
		step.Question = q.Encode()
	}
	return step, nil
}

// next asks for the next keys of the round.
func (f *refetch) next(c *journal.Cursor) journal.Question {
	q := journal.Question{From: c.Position.Sequence}
	after := ""
	for len(f.rest) > 0 && len(q.Asks) < refetchAsks {
		ask := journal.Ask{After: justBefore(f.rest[0]), UpTo: f.rest[0], Level: journal.Values}
		if ask.After < after {
			ask.After = after
		}
		q.Asks = append(q.Asks, ask)
		after = ask.UpTo
		f.rest = f.rest[1:]
	}
	return q
}

// end ends the round. Some keys may still be missing.
func (f *refetch) end(missing uint64) {
	f.under = false
	if missing < f.before {
		f.wait = 0
	}
	f.wait = min(max(2*f.wait, refetchWait), refetchWaitMax)
	f.due = time.Now().Add(f.wait)
}

// takeMissing writes the values of an answer. Keys that the answer did not reach are asked for again in this round.
// Keys that were overtaken and are still missing are asked for in the next.
func (s *comparison) takeMissing(ctx context.Context, f *refetch, a *lacking, c *journal.Cursor,
	answer []byte) (*journal.Cursor, error) {
	got, err := journal.DecodeAnswer(answer, s.asked.asks)
	if err != nil {
		return nil, failure.Malformed(err)
	}
	if len(got.Ranges) == 0 {
		return nil, replication.Errorf(replication.InvalidInput, "the primary answered nothing of what it was asked for")
	}
	for _, ask := range slices.Backward(s.asked.asks[len(got.Ranges):]) {
		f.rest = slices.Insert(f.rest, 0, ask.UpTo)
	}
	d := &diff{dirs: walk.NewListing(s.below.Inner, s.below.AnyPrefix)}
	var ops []journal.Op
	for i := range got.Ranges {
		if s.asked.overtaken[i] {
			continue
		}
		ask, rng := s.asked.asks[i], &got.Ranges[i]
		more, err := s.valueOps(ctx, d, ask, rng)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
		if n := len(rng.Pairs); !rng.Cut && (n == 0 || rng.Pairs[n-1].Key != ask.UpTo) {
			a.gone(ask.UpTo)
		}
	}
	next := *c
	// The values are current, and older rows may still come.
	next.ConsistentFrom = max(c.ConsistentFrom, got.AsOf)
	return &next, s.writeRange(ctx, ops, &next, a, nil)
}

// justBefore is a name shortly before a key, with hardly any name between the two.
func justBefore(key string) string {
	last := len(key) - 1
	if key[last] == 0 {
		return key[:last]
	}
	return key[:last] + string([]byte{key[last] - 1, 0xff, 0xff})
}
