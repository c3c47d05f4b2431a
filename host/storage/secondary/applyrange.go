// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// applyInFlight is how many transactions of one range are under way at a time. Their order does not matter before the
// cursor passes the range. Storage that commits in groups, such as raft, makes all of them durable together.
const applyInFlight = 16

// ApplyRange makes the replicated keys of a range those of the payload; see
// [replication.Host]. The range begins where the former one ended.
func (s *Secondary) ApplyRange(ctx context.Context, rng *replication.Range) (*replication.Cursor, error) {
	pairs, err := s.checkRange(rng)
	if err != nil {
		return nil, err
	}
	c, unlock, err := s.beginApply(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !c.Copying {
		return nil, replication.Errorf(replication.InvalidInput, "a range cannot be applied: no copy is under way")
	}
	if rng.After != string(c.CopiedUpTo) {
		return nil, replication.Errorf(replication.InvalidInput,
			"the range begins after %q, the copy is at %q: ranges are applied in order", rng.After, c.CopiedUpTo)
	}
	a, err := s.readLacking(ctx, c)
	if err != nil {
		return nil, err
	}
	w, err := s.applies.Take(ctx, s.below.Inner, walk.Reader{Mode: s.mode}, rng.After)
	if err != nil {
		return nil, err
	}
	ops, there, err := s.opsBetween(ctx, w, rng.UpTo, pairs)
	if err != nil {
		return nil, err
	}

	next := *c
	next.CopiedKeys += rng.Keys
	next.CopyAsOf = max(c.CopyAsOf, rng.AsOf)
	next.CopiedAll = rng.Last
	if !rng.Last {
		next.CopiedUpTo = []byte(rng.UpTo)
	} else if len(pairs) > 0 {
		next.CopiedUpTo = []byte(pairs[len(pairs)-1].Key)
	}
	if err := s.writeRange(ctx, ops, &next, a, there); err != nil {
		return nil, err
	}
	if !rng.Last {
		s.applies.Put(walk.Reader{Mode: s.mode}, rng.UpTo, w)
	}
	return next.Contract(), nil
}

// checkRange reads the payload and refuses what a primary would not send.
func (s *Secondary) checkRange(rng *replication.Range) ([]journal.Pair, error) {
	if rng == nil || (rng.Last && rng.UpTo != "") || (!rng.Last && rng.UpTo <= rng.After) {
		return nil, replication.Errorf(replication.InvalidInput, "the range ends before it begins")
	}
	pairs, err := journal.DecodeRange(rng.Payload)
	if err != nil {
		return nil, failure.Malformed(err)
	}
	if uint64(len(pairs)) != rng.Keys {
		return nil, replication.Errorf(replication.InvalidInput, "the range has %d keys and says %d", len(pairs), rng.Keys)
	}
	for i := range pairs {
		if key := pairs[i].Key; key <= rng.After || (!rng.Last && key > rng.UpTo) {
			return nil, replication.Errorf(replication.InvalidInput, "the key %q is outside the range it came in", key)
		}
		if err := s.checkKeys([]journal.Op{{Key: pairs[i].Key}}); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// listed are the keys that a walk has found in a range, of whatever class.
type listed map[string]struct{}

// absent says whether the storage lacks a key of the range. nil listed knows nothing.
func (l listed) absent(key string) bool {
	_, there := l[key]
	return l != nil && !there
}

// opsBetween continues a walk up to a key, and returns the writes that replace what is there by the pairs: in key order
// a put of each pair, and a deletion of each other key that is not this cluster's own. It also returns what is there,
// if the storage has exactly the names that it lists.
func (s *applier) opsBetween(ctx context.Context, w *walk.Walk, upTo string, pairs []journal.Pair) ([]journal.Op,
	listed, error) {
	ops := make([]journal.Op, 0, len(pairs))
	var there listed
	if s.below.Txn != nil {
		there = listed{}
	}
	i := 0
	putUpTo := func(key string) {
		for i < len(pairs) && (key == "" || pairs[i].Key <= key) {
			ops = append(ops, journal.Op{Kind: journal.Put, Key: pairs[i].Key, Value: pairs[i].Value})
			i++
		}
	}
	for {
		keys, err := w.Group(ctx, func(key string) bool {
			if there != nil {
				there[key] = struct{}{}
			}
			return s.ofPrimary(key)
		}, upTo)
		if err != nil {
			return nil, nil, err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			putUpTo(key)
			if i == 0 || pairs[i-1].Key != key {
				ops = append(ops, journal.Op{Kind: journal.Delete, Key: key})
			}
		}
	}
	putUpTo("")
	return ops, there, nil
}

// ofPrimary says whether the primary decides about a key: the key gets the primary's value, and is deleted if the
// primary does not have it. A view without a mount belonged to a mount that the primary has removed.
func (s *applier) ofPrimary(key string) bool {
	return s.below.Classes().Replicated(s.mode, key) ||
		(keyclass.ByMount(s.mode) && s.below.Classes().Orphan(key))
}

// writeRange writes the operations, several transactions at a time. When these are durable, it writes the cursor with
// the last one and then tells the host. The operations may belong to rows that were applied long ago. So positions that
// counted as applied do not count until the core has taken the operations up. there is what the storage has of the
// range, nil if that is not known.
func (s *applier) writeRange(ctx context.Context, ops []journal.Op, next *journal.Cursor, a *lacking,
	there listed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	s.progress.Unsay(s.from)
	ops, err := s.decideFirst(ctx, ops, a)
	if err == nil {
		err = s.writeOps(ctx, ops, next, a, there)
	}
	reached := *next
	s.stored(&reached, err)
	if err != nil {
		s.setProgress(s.from)
	}
	return err
}

// writeOps writes operations whose order does not matter, and the cursor after them.
func (s *applier) writeOps(ctx context.Context, ops []journal.Op, next *journal.Cursor, a *lacking,
	there listed) error {
	var loads []*load
	l := s.newLoad()
	for i := range ops {
		one := ops[i : i+1]
		if !l.takes(one) {
			loads = append(loads, l)
			l = s.newLoad()
		}
		l.add(one)
	}
	equal := txn.Options{SkipEqual: true, Absent: there.absent}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(applyInFlight)
	for _, l := range loads {
		g.Go(func() error { return s.write(gctx, l, nil, a, equal) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.write(ctx, l, next, a, equal)
}

// decideFirst first writes the keys of a range that decide the classes of other keys. It returns the other operations,
// without deletions of keys that are not the primary's by the new classes: a primary that does not know a mount does
// not send its keys, and this cluster must not delete them.
func (s *applier) decideFirst(ctx context.Context, ops []journal.Op, a *lacking) ([]journal.Op, error) {
	if !slices.ContainsFunc(ops, func(op journal.Op) bool { return keyclass.Decides(op.Key) }) {
		return ops, nil
	}
	for i := range ops {
		if !keyclass.Decides(ops[i].Key) {
			continue
		}
		l := s.newLoad()
		l.add(ops[i : i+1])
		if err := s.write(ctx, l, nil, a, txn.Options{SkipEqual: true}); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op journal.Op) bool {
		return keyclass.Decides(op.Key) || (op.Kind == journal.Delete && !s.ofPrimary(op.Key))
	}), nil
}
