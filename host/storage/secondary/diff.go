// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"math/bits"
	"slices"

	"github.com/vault-replication/vault-replication/host/storage/digest"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// diffAsks and diffAskBytes bound one question.
	diffAsks     = 2048
	diffAskBytes = 128 << 10
	// diffFanOut is how many levels finer the next question about a differing part is: sixteen times as many parts.
	diffFanOut = 4
	// diffFirst sets the level of the first question, which asks for about 2^diffFirst parts.
	diffFirst = 8
	// diffFew is the number of keys up to which a differing part is compared key by key at once.
	diffFew = 32
)

// diff is a comparison that is under way on a secondary: the questions that are left, in key order. The keys before the
// first of them are as the primary has them.
type diff struct {
	from  replication.Position
	asks  []journal.Ask
	asked int  // how many of them the last question had
	first bool // a new comparison, not a resumed one, without an answer yet
	dirs  *walk.Listing
	step  replication.DiffStep
}

// Diff continues the copy that BeginCopy began, by comparing; see [replication.Host].
func (s *comparison) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	x := s.index()
	if x == nil {
		return nil, replication.Errorf(replication.Unavailable, "this node is not the active node of a secondary, so it "+
			"cannot compare what it has")
	}
	if c, err := s.readCursor(ctx); err != nil {
		return nil, err
	} else if !c.Copying && !c.MustCopy && !c.Position.Epoch.IsZero() {
		return s.fetchMissing(ctx, answer)
	}
	if err := x.Sums().Wait(ctx); answer == nil && err != nil {
		return nil, err
	}
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !c.Copying {
		return nil, replication.Errorf(replication.InvalidInput, "nothing can be compared: no copy has begun")
	}
	if answer == nil {
		return s.beginDiff(ctx, x.Sums(), c)
	}
	d := s.diff
	if d == nil || d.from != c.CopyFrom || d.asked == 0 {
		return nil, replication.Errorf(replication.Unavailable, "an answer about ranges of keys came that was not asked "+
			"for: the comparison begins again")
	}
	a, err := journal.DecodeAnswer(answer, d.asks[:d.asked])
	if err != nil {
		return nil, failure.Malformed(err)
	}
	if err := s.takeAnswer(ctx, x.Sums(), d, c, a); err != nil {
		// What was applied stays, but the next question is not known any more.
		s.diff = nil
		return nil, err
	}
	return d.ask(c), nil
}

// beginDiff begins a comparison, or resumes one where it was cut.
func (s *comparison) beginDiff(ctx context.Context, x *fingerprint.Index, c *journal.Cursor) (*replication.DiffStep,
	error) {
	s.diff = nil
	_, count := x.Root()
	if !c.Diffing && (count == 0 || len(c.CopiedUpTo) > 0) {
		return &replication.DiffStep{Copy: true, Cursor: c.Contract()}, nil
	}
	d := &diff{from: c.CopyFrom, dirs: walk.NewListing(s.below.Inner, s.below.AnyPrefix)}
	d.step.Differing, d.step.Synced = c.CopiedKeys, c.CopiedKeys
	rest := journal.Ask{After: string(c.CopiedUpTo), Level: max(fingerprint.CutLevel, bits.Len64(count)-diffFirst)}
	if c.CopiedAll {
		s.diff = d
		return d.ask(c), nil
	}
	if rest.After != "" {
		// No range of the index may begin where it was cut.
		_, upTo, ok := x.Around(rest.After + "\x00")
		if ok && upTo != "" {
			d.asks = append(d.asks, journal.Ask{After: rest.After, UpTo: upTo, Level: diffFanOut})
			rest.After = upTo
		}
	}
	d.asks = append(d.asks, rest)
	d.first = rest.After == ""
	s.diff = d
	if !c.Diffing {
		next := *c
		next.Diffing = true
		if err := s.writeCursor(ctx, &next); err != nil {
			return nil, err
		}
	}
	return d.ask(c), nil
}

// ask is the next step.
func (d *diff) ask(c *journal.Cursor) *replication.DiffStep {
	step := d.step
	step.Cursor = c.Contract()
	if step.Copy {
		return &step
	}
	q := journal.Question{From: d.from.Sequence}
	size := 0
	for i := range d.asks {
		size += len(d.asks[i].After) + len(d.asks[i].UpTo) + 8
		if i > 0 && (i >= diffAsks || size > diffAskBytes) {
			break
		}
		q.Asks = append(q.Asks, d.asks[i])
	}
	d.asked = len(q.Asks)
	if step.Done = d.asked == 0; !step.Done {
		step.Question = q.Encode()
	}
	return &step
}

// takeAnswer applies the values of an answer, and replaces the answered questions by the next, finer ones.
func (s *comparison) takeAnswer(ctx context.Context, x *fingerprint.Index, d *diff, c *journal.Cursor,
	a *journal.Answer) error {
	own := &digest.Digester{
		From: s.below, Hasher: x.Hasher(), Index: x, Dirs: d.dirs,
		In: func(key string) bool { return s.below.Classes().Replicated(s.mode, key) },
	}
	var ops []journal.Op
	var next []journal.Ask
	step := d.step
	for i := range a.Ranges {
		ask, rng := d.asks[i], &a.Ranges[i]
		if ask.Level == journal.Values {
			more, err := s.valueOps(ctx, d, ask, rng)
			if err != nil {
				return err
			}
			ops = append(ops, more...)
			step.Synced += uint64(len(rng.Pairs))
			if rng.Cut {
				ask.After = rng.Pairs[len(rng.Pairs)-1].Key
				next = append(next, ask)
			}
			continue
		}
		more, keys, err := d.compare(ctx, own, ask, rng.Parts)
		if err != nil {
			return err
		}
		next = append(next, more...)
		step.Differing += keys
	}
	if d.first {
		d.first = false
		if 2*step.Differing > keysOf(a) {
			return s.preferCopy(ctx, d, c)
		}
	}
	asks := slices.Concat(next, d.asks[len(a.Ranges):])
	lacks, err := s.readLacking(ctx, c)
	if err != nil {
		return err
	}
	cursor := *c
	cursor.CopyAsOf = max(c.CopyAsOf, a.AsOf)
	cursor.CopiedKeys = step.Synced
	if len(asks) > 0 {
		cursor.CopiedUpTo = []byte(asks[0].After)
	} else {
		if ops, lacks, err = s.lastOps(ctx, ops, cursor, c, lacks); err != nil {
			return err
		}
		cursor.CopiedAll = true
	}
	if err := s.writeRange(ctx, ops, &cursor, lacks, nil); err != nil {
		return err
	}
	*c, d.asks, d.step = cursor, asks, step
	return nil
}

// lastOps are the last writes of a comparison: the rest of the values, and deletions of keys in views without a mount.
// New mount tables are written first. By the old tables the keys of a mount that is new here would have no mount and be
// deleted.
func (s *comparison) lastOps(ctx context.Context, ops []journal.Op, cursor journal.Cursor, c *journal.Cursor,
	lacks *lacking) ([]journal.Op, *lacking, error) {
	if slices.ContainsFunc(ops, func(op journal.Op) bool { return keyclass.Decides(op.Key) }) {
		cursor.CopiedUpTo = c.CopiedUpTo
		if err := s.writeRange(ctx, ops, &cursor, lacks, nil); err != nil {
			return nil, nil, err
		}
		var err error
		if lacks, err = s.readLacking(ctx, &cursor); err != nil {
			return nil, nil, err
		}
		ops = nil
	}
	orphans, err := s.orphans(ctx)
	return append(ops, orphans...), lacks, err
}

func keysOf(a *journal.Answer) (keys uint64) {
	for i := range a.Ranges {
		for j := range a.Ranges[i].Parts {
			keys += a.Ranges[i].Parts[j].Count
		}
	}
	return keys
}

// preferCopy gives the comparison up before anything was changed. Most of the primary's content is missing here, and a
// copy is a stream that does not wait for questions.
func (s *comparison) preferCopy(ctx context.Context, d *diff, c *journal.Cursor) error {
	next := *c
	next.Diffing = false
	if err := s.writeCursor(ctx, &next); err != nil {
		return err
	}
	*c = next
	d.asks, d.step = nil, replication.DiffStep{Copy: true}
	return nil
}

// compare returns the next questions about the parts that differ, and how many keys the primary has in the parts whose
// values are asked for.
func (d *diff) compare(ctx context.Context, own *digest.Digester, ask journal.Ask,
	theirs []journal.Part) (next []journal.Ask, keys uint64, err error) {
	ours, err := own.Sums(ctx, ask, theirs)
	if err != nil {
		return nil, 0, err
	}
	after := ask.After
	for i := range theirs {
		more := journal.Ask{After: after, UpTo: theirs[i].UpTo, Level: finer(ask.Level, theirs[i].Count, ours[i].Count)}
		after = theirs[i].UpTo
		if theirs[i] == ours[i] {
			continue
		}
		if more.Level == journal.Values {
			keys += theirs[i].Count
			if last := len(next) - 1; last >= 0 && next[last].Level == journal.Values && next[last].UpTo == more.After {
				next[last].UpTo = more.UpTo
				continue
			}
		}
		next = append(next, more)
	}
	return next, keys, nil
}

// finer is the level of the next question about a part that differs.
func finer(level int, theirs, ours uint64) int {
	switch {
	case level == 0 || 2*ours < theirs || theirs == 0:
		return journal.Values // finer questions would cost more than they save
	case max(theirs, ours) <= diffFew:
		return 0
	case level > fingerprint.CutLevel:
		return max(fingerprint.CutLevel, level-diffFanOut)
	default:
		return max(0, level-diffFanOut)
	}
}

// valueOps are the writes that give a range the primary's content, in key order.
func (s *comparison) valueOps(ctx context.Context, d *diff, ask journal.Ask, rng *journal.AnswerRange) ([]journal.Op,
	error) {
	upTo := ask.UpTo
	if rng.Cut {
		upTo = rng.Pairs[len(rng.Pairs)-1].Key
	}
	w, err := walk.Between(ctx, d.dirs, ask.After, upTo, new(int))
	if err != nil {
		return nil, err
	}
	for i := range rng.Pairs {
		if err := s.checkKeys([]journal.Op{{Key: rng.Pairs[i].Key}}); err != nil {
			return nil, err
		}
	}
	ops, _, err := s.opsBetween(ctx, w, upTo, rng.Pairs)
	return ops, err
}
