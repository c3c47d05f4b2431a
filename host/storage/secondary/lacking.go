// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// lacking has, during one apply, the keys that this secondary misses because its own storage refuses them for good.
// Such a key keeps its former value; everything else goes on. It ends when the storage accepts a later value of the
// key, or when the key is deleted.
type lacking struct {
	mu   sync.Mutex
	list *unstorable.List
	// changed says that the list differs from the stored one.
	changed bool
}

// readLacking is the list that belongs to a cursor.
func (s *applier) readLacking(ctx context.Context, c *journal.Cursor) (*lacking, error) {
	a := &lacking{list: &unstorable.List{}}
	if c.Missing == 0 {
		return a, nil
	}
	b, err := s.below.ReadFresh(ctx, journal.MissingKey(s.mode))
	if err != nil {
		return nil, failure.Storage("read which keys are missing", err)
	}
	if b != nil {
		if a.list, err = unstorable.Decode(b); err == nil {
			return a, nil
		}
		s.below.Logger.Error("the list of missing keys is lost: a comparison finds them again", "mode", s.mode, "error", err)
		a.list = &unstorable.List{}
	}
	a.list.Count(c.Missing)
	return a, nil
}

// without is the list as it is after a transaction is stored.
func (a *lacking) without(writes []*physical.TxnEntry) *unstorable.List {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool { return a.list.Has(e.Entry.Key) }) {
		return a.list
	}
	list := a.list.Clone()
	for _, e := range writes {
		list.Remove(e.Entry.Key)
	}
	return list
}

// stored says that a transaction is stored.
func (a *lacking) stored(writes []*physical.TxnEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range writes {
		if a.list.Remove(e.Entry.Key) {
			a.changed = true
		}
	}
}

// written says that a list is stored, with its cursor.
func (a *lacking) written(list *unstorable.List) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list, a.changed = list, false
}

// gone says that the primary does not have a key.
func (a *lacking) gone(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.list.Remove(key) {
		a.changed = true
	}
}

func (a *lacking) add(key string, r unstorable.Refusal) (isNew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed = true
	return a.list.Add(key, r)
}

// moved are the rows of a cursor and of its list. Storage without transactions gets the list first, so a stored cursor
// never counts keys that the list lacks.
func (a *lacking) moved(mode replication.Mode, to *journal.Cursor, list *unstorable.List) ([]*physical.TxnEntry,
	error) {
	if to == nil {
		return nil, nil
	}
	to.Missing = list.Len()
	e, err := cursorEntry(mode, to)
	if err != nil {
		return nil, err
	}
	rows := []*physical.TxnEntry{txn.Put(e)}
	if !a.changed && list == a.list {
		return rows, nil
	}
	if list.Len() == 0 {
		return append(rows, txn.Delete(journal.MissingKey(mode))), nil
	}
	b, err := list.Encode()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encode the list of missing keys: %w", err)
	}
	return slices.Insert(rows, 0, &physical.TxnEntry{Operation: physical.PutOperation,
		Entry: &physical.Entry{Key: journal.MissingKey(mode), Value: b}}), nil
}

// separable says whether a transaction may be made in parts. It may not if later rows depend on one of its keys,
// because such a key is never set aside.
func (s *applier) separable(writes []*physical.TxnEntry) bool {
	return !slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool { return s.dependedOn(e.Entry.Key) })
}

func (s *applier) dependedOn(key string) bool {
	return vaultname.IsKey(key) || s.writes.Alone(key)
}

// setAside makes the writes of a transaction that the storage refused as a whole. It halves the transaction until only
// the refused writes are left out, and returns their number.
func (s *applier) setAside(ctx context.Context, commit txn.Commit, a *lacking, writes []*physical.TxnEntry,
	o txn.Options) (refused int, err error) {
	if len(writes) == 0 {
		return 0, nil
	}
	err = commit(ctx, writes, o)
	if err == nil {
		a.stored(writes)
		return 0, nil
	}
	if !unstorable.Permanent(err) {
		return 0, failure.Storage("apply what the primary wrote", err)
	}
	if half := len(writes) / 2; half > 0 {
		if refused, err = s.setAside(ctx, commit, a, writes[:half], o); err != nil {
			return refused, err
		}
		n, err := s.setAside(ctx, commit, a, writes[half:], o)
		return refused + n, err
	}
	e := writes[0].Entry
	if writes[0].Operation == physical.DeleteOperation {
		a.stored(writes) // a key that cannot be there is gone
		return 0, nil
	}
	refusal := unstorable.Of(err, e)
	if a.add(e.Key, *refusal) {
		// Only the log names the key, because anybody may read the status.
		s.below.Logger.Error("the storage of this secondary refuses a key of the primary, which is missing here until that "+
			"has changed",
			"mode", s.mode, "key", e.Key, "class", s.below.Classes().Class(e.Key), "reason", refusal.String())
	}
	return 1, nil
}

// refusedRow is the error when later rows depend on a refused key.
func (s *applier) refusedRow(writes []*physical.TxnEntry, err error) error {
	var worst *physical.Entry
	for _, e := range writes {
		if s.dependedOn(e.Entry.Key) && (worst == nil || len(e.Entry.Value) > len(worst.Value)) {
			worst = e.Entry
		}
	}
	return replication.Errorf(replication.StorageFailed,
		"the storage of this cluster refuses %s, on which what comes later depends, so that nothing after it can be "+
			"applied: %s",
		keyclass.Area(worst.Key), unstorable.Of(err, worst))
}

// Missing says which keys this secondary misses because its storage refuses them: their number, and a sentence without
// names.
func (s *applier) Missing(ctx context.Context) (keys uint64, what string, err error) {
	c, err := s.readCursor(ctx)
	if err != nil || c.Missing == 0 {
		return 0, "", err
	}
	a, err := s.readLacking(ctx, c)
	if err != nil {
		return 0, "", err
	}
	return a.list.Len(), a.list.Describe(func(key string) string {
		return s.below.Classes().Class(key).String() + " keys, " + keyclass.Area(key)
	}), nil
}
