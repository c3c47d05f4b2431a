// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// load collects writes for one transaction, the last one of each key.
type load struct {
	batch   txn.Batch
	entries int
	bytes   int

	maxEntries, maxBytes int
}

func (d *debt) newLoad() *load {
	entries, bytes := d.below.Spare()
	return &load{maxEntries: entries, maxBytes: bytes}
}

// opSize counts a key three times: twice as the storage does, and once for its row in this cluster's own journal.
func opSize(op *journal.Op) int { return 3*len(op.Key) + len(op.Value) + 32 }

// takes says whether operations fit; an empty load takes anything.
func (l *load) takes(ops []journal.Op) bool {
	if l.entries == 0 {
		return true
	}
	n := 0
	for i := range ops {
		if _, has := l.batch.Get(ops[i].Key); has && vaultname.IsKey(ops[i].Key) {
			return false
		}
		n += opSize(&ops[i])
	}
	return l.entries+len(ops) <= l.maxEntries && l.bytes+n <= l.maxBytes
}

func (l *load) add(ops []journal.Op) {
	for i := range ops {
		op := &ops[i]
		if op.Kind == journal.Put {
			l.batch.Put(&physical.Entry{Key: op.Key, Value: op.Value})
		} else {
			l.batch.Delete(op.Key)
		}
		l.entries++
		l.bytes += opSize(op)
	}
}

// over says that the load is too large for one transaction: a row with many or large values.
func (l *load) over() bool { return l.entries > l.maxEntries || l.bytes > l.maxBytes }

// write makes the load's writes durable, and the cursor if one is given: in the same transaction if it fits, otherwise
// after them. Keys are owed before they are written; with SkipEqual only keys that change. Keys that the storage
// refuses for good are set aside.
func (s *applier) write(ctx context.Context, l *load, to *journal.Cursor, a *lacking, o txn.Options) error {
	if s.below.Room != nil {
		if err := s.below.Room(); err != nil {
			return failure.Storage("apply what the primary wrote", err)
		}
	}
	if err := s.arrives(ctx, l, to); err != nil {
		return err
	}
	s.applies.Close() // what they have listed is no longer all that is there
	commit, end := s.writes.Begin()
	defer end()
	writes := l.batch.Entries()
	s.asked.overtake(writes)
	o.About = func(writes []*physical.TxnEntry) { s.owe(writes) }
	if !l.over() {
		list := a.without(writes)
		last, err := a.moved(s.mode, to, list)
		if err != nil {
			return err
		}
		err = commit(ctx, append(writes[:len(writes):len(writes)], last...), o)
		switch {
		case err == nil && to != nil:
			a.written(list)
			return nil
		case err == nil:
			a.stored(writes)
			return nil
		case !unstorable.Permanent(err):
			return failure.Storage("apply what the primary wrote", err)
		case !s.separable(writes):
			return s.refusedRow(writes, err)
		}
	}
	if err := s.markInParts(ctx, commit, to); err != nil {
		return err
	}
	refused := 0
	for _, piece := range s.below.Split(writes) {
		if !s.separable(piece) {
			if err := commit(ctx, piece, o); err != nil {
				return failure.Storage("apply what the primary wrote", err)
			}
			continue
		}
		n, err := s.setAside(ctx, commit, a, piece, o)
		if err != nil {
			return err
		}
		refused += n
	}
	if !l.over() && refused == 0 {
		// Only together were they too large. From now on loads are cut as the storage demands.
		s.below.Refused()
	}
	last, err := a.moved(s.mode, to, a.list)
	if err != nil || len(last) == 0 {
		return err
	}
	if err := commit(ctx, last, o); err != nil {
		return failure.Storage("write the cursor", err)
	}
	a.written(a.list)
	return nil
}

// markInParts stores, before writes that are made in parts, that the content is not consistent until the cursor has
// moved.
func (s *applier) markInParts(ctx context.Context, commit txn.Commit, to *journal.Cursor) error {
	if to == nil || to.Copying {
		return nil
	}
	c, err := s.readCursor(ctx)
	if err != nil || c.Copying || c.ConsistentFrom >= to.Position.Sequence {
		return err
	}
	c.ConsistentFrom = to.Position.Sequence
	e, err := cursorEntry(s.mode, c)
	if err != nil {
		return err
	}
	if err := commit(ctx, []*physical.TxnEntry{txn.Put(e)}, txn.Options{}); err != nil {
		return failure.Storage("write the cursor", err)
	}
	return nil
}

// owe owes the keys of a transaction before it is written, except the cursor and the list of missing keys.
func (d *debt) owe(writes []*physical.TxnEntry) {
	keys := make([]string, 0, len(writes))
	for _, e := range writes {
		if key := e.Entry.Key; key != journal.CursorKey(d.mode) && key != journal.MissingKey(d.mode) {
			keys = append(keys, key)
		}
	}
	d.keys.Add(keys...)
}

// isAlone says whether a row must not share a transaction with others.
func (s *applier) isAlone(ops []journal.Op) bool {
	return slices.ContainsFunc(ops, func(op journal.Op) bool { return s.writes.Alone(op.Key) })
}

// checkKeys refuses what a peer must not write: keys that are not replicated in the mode. A primary never sends them. A
// key of an unknown mount is allowed, because it comes before the table with its mount.
func (s *applier) checkKeys(ops []journal.Op) error {
	for i := range ops {
		key := ops[i].Key
		if !s.below.Classes().Replicated(s.mode, key) && !s.below.Classes().Held(key) {
			return replication.Errorf(replication.InvalidInput,
				"the primary sent the key %q, which is not replicated in %s mode: nothing was applied; check that both clusters "+
					"run the same version", key, s.mode)
		}
		if s.below.PathKeys && keyclass.Canonical(key) != key {
			return replication.Errorf(replication.InvalidInput,
				"the primary sent the key %q, which the storage of this cluster takes for %q: nothing was applied; use a storage "+
					"of the primary's kind", key, keyclass.Canonical(key))
		}
	}
	return nil
}
