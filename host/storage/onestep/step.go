// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Row is one storage row; a nil Value deletes it.
type Row struct {
	Key   string
	Value []byte
}

// ErrAnotherState is the error for a record that does not fit the present state. The record was removed.
var ErrAnotherState = errors.New("a change of role that was cut is of another state of this cluster, which has gone " +
	"on without it: it is forgotten")

// errUnproven is the error for a record without a valid proof.
var errUnproven = fmt.Errorf("storage has a cut change of role at %s that was not written by this cluster, so this "+
	"node does not lead: restore storage from a snapshot, or delete that row if you know that no change was cut",
	RecordKey)

// Write writes the rows in one step. After an error either all rows count or none. Read one of them back to learn
// which.
func Write(ctx context.Context, store physical.Backend, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	switch s := store.(type) {
	case physical.TransactionalBackend:
		return transaction(ctx, s, rows)
	case *Store:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.write(ctx, rows)
	default:
		return errors.New("this storage has neither transactions nor steps")
	}
}

// Settle puts the former rows of a cut step back. The active node calls it at its takeover, with the barrier open,
// before it reads any key that a step may write. ErrAnotherState only needs a log line. After any other error the node
// must not lead.
func Settle(ctx context.Context, store physical.Backend) error {
	s, ok := store.(*Store)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settle(ctx)
}

func transaction(ctx context.Context, store physical.TransactionalBackend, rows []Row) error {
	txns := make([]*physical.TxnEntry, 0, len(rows))
	for _, r := range rows {
		op := physical.Operation(physical.PutOperation)
		if r.Value == nil {
			op = physical.DeleteOperation
		}
		txns = append(txns, &physical.TxnEntry{Operation: op, Entry: &physical.Entry{Key: r.Key, Value: r.Value}})
	}
	return store.Transaction(ctx, txns)
}

func (s *Store) write(ctx context.Context, rows []Row) error {
	if err := s.undoFailed(ctx); err != nil {
		return err
	}
	key, err := s.recordKey()
	if err != nil {
		return err
	}
	rows = lastOfEach(rows)
	r, err := s.prepare(ctx, rows)
	if err != nil {
		return err
	}
	raw, err := r.encode(key)
	if err != nil {
		return err
	}
	// A step that has begun is finished even if its caller leaves.
	ctx = context.WithoutCancel(ctx)
	if err := s.inner.Put(ctx, &physical.Entry{Key: RecordKey, Value: raw}); err != nil {
		return s.giveUp(ctx, r, fmt.Errorf("write of the record: %w", err))
	}
	for _, row := range rows {
		if err := s.owns(ctx, r); err != nil {
			return s.giveUp(ctx, r, err)
		}
		if err := put(ctx, s.inner, row.Key, row.Value); err != nil {
			return s.giveUp(ctx, r, fmt.Errorf("write of %s: %w", row.Key, err))
		}
	}
	if err := s.inner.Delete(ctx, RecordKey); err != nil {
		// All rows are written, and the removal may have landed.
		if now, rerr := s.pending(ctx); rerr == nil && now == nil {
			return nil
		}
		return s.giveUp(ctx, r, fmt.Errorf("removal of the record: %w", err))
	}
	return nil
}

// lastOfEach keeps only the last row of each key, in its place.
func lastOfEach(rows []Row) []Row {
	last := map[string]int{}
	for i := range rows {
		last[rows[i].Key] = i
	}
	kept := make([]Row, 0, len(last))
	for i := range rows {
		if last[rows[i].Key] == i {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

func (s *Store) recordKey() ([]byte, error) {
	f := s.key.Load()
	if f == nil {
		return nil, errors.New("no step can be made before the barrier was opened")
	}
	return (*f)()
}

// prepare reads the former rows into a record.
func (s *Store) prepare(ctx context.Context, rows []Row) (*record, error) {
	r, err := newRecord()
	if err != nil {
		return nil, err
	}
	ctx = physical.CacheRefreshContext(ctx, true)
	for _, row := range rows {
		if !Allowed(row.Key) {
			return nil, fmt.Errorf("the row %s is no part of a change of role: nothing was written", row.Key)
		}
		e, err := s.inner.Get(ctx, row.Key)
		if err != nil {
			return nil, fmt.Errorf("read of %s: %w", row.Key, err)
		}
		u := undo{Key: row.Key, Exists: e != nil}
		if e != nil {
			u.Before = e.Value
		}
		if row.Value != nil {
			u.After = printOf(&physical.Entry{Value: row.Value})
		}
		r.Rows = append(r.Rows, u)
	}
	for _, key := range []string{roleKey, vaultname.Keyring} {
		if r.row(key) != nil {
			continue
		}
		e, err := s.inner.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read of %s: %w", key, err)
		}
		r.State = append(r.State, bound{key, printOf(e)})
	}
	return r, nil
}

// owns fails when the record is gone: another node leads and has settled it.
func (s *Store) owns(ctx context.Context, r *record) error {
	now, err := s.pending(ctx)
	if err == nil && (now == nil || now.ID != r.ID) {
		err = errors.New("another node has taken over and undone the change")
	}
	return err
}

// undoPause is the pause between attempts to undo a step.
const undoPause = time.Second

// giveUp undoes a failed step, now or as soon as the storage allows.
func (s *Store) giveUp(ctx context.Context, r *record, cause error) error {
	s.failed.Store(r)
	if err := s.undoFailed(ctx); err != nil {
		s.tryAgain()
		return fmt.Errorf("%w; it counts as not written, and is undone as soon as the storage allows", cause)
	}
	return cause
}

func (s *Store) tryAgain() {
	if s.closed {
		return
	}
	s.again = time.AfterFunc(undoPause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.undoFailed(context.Background()) != nil {
			s.tryAgain()
		}
	})
}

// undoFailed undoes the failed step of this process, if there is one.
func (s *Store) undoFailed(ctx context.Context) error {
	r := s.failed.Load()
	if r == nil {
		return nil
	}
	now, err := s.pending(ctx)
	if err == nil && now != nil && now.ID == r.ID {
		err = s.undo(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("a change of role that has failed is not undone yet: %w", err)
	}
	s.failed.Store(nil)
	return nil
}

// undo puts the former rows back, the last one first, and removes the record.
func (s *Store) undo(ctx context.Context, r *record) error {
	for _, u := range slices.Backward(r.Rows) {
		e, err := s.inner.Get(physical.CacheRefreshContext(ctx, true), u.Key)
		torn := s.torn(err)
		if err != nil && !torn {
			return fmt.Errorf("read of %s: %w", u.Key, err)
		}
		if !torn && (!u.written(e) || printOf(u.entry()).is(e)) {
			continue // not written yet, or put back
		}
		if err := s.owns(ctx, r); err != nil {
			return err
		}
		var before []byte
		if u.Exists {
			before = append([]byte{}, u.Before...)
		}
		if err := put(ctx, s.inner, u.Key, before); err != nil {
			return fmt.Errorf("write of %s: %w", u.Key, err)
		}
	}
	if err := s.inner.Delete(ctx, RecordKey); err != nil {
		return fmt.Errorf("removal of the record: %w", err)
	}
	return nil
}

func (s *Store) settle(ctx context.Context) error {
	// The record of a former version is never carried out.
	if e, err := s.inner.Get(physical.CacheRefreshContext(ctx, true), formerKey); err != nil {
		return fmt.Errorf("read of the record of a former version: %w", err)
	} else if e != nil {
		if err := s.inner.Delete(ctx, formerKey); err != nil {
			return fmt.Errorf("removal of the record of a former version: %w", err)
		}
	}
	e, err := s.read(ctx, RecordKey)
	if err != nil {
		return fmt.Errorf("read of the record of a step: %w", err)
	}
	if e == nil {
		s.failed.Store(nil)
		return nil
	}
	r, err := decode(e.Value)
	switch {
	case errors.Is(err, errTorn):
		return s.inner.Delete(ctx, RecordKey) // none of its rows was written
	case err != nil:
		return fmt.Errorf("%w (%w)", errUnproven, err)
	}
	key, err := s.recordKey()
	if err != nil {
		return err
	}
	if !proven(e.Value, key) {
		return errUnproven
	}
	present, err := s.isPresent(ctx, r)
	if err != nil {
		return err
	}
	if !present {
		if err := s.inner.Delete(ctx, RecordKey); err != nil {
			return err
		}
		return ErrAnotherState
	}
	if err := s.undo(ctx, r); err != nil {
		return fmt.Errorf("a change of role that was cut cannot be undone: %w", err)
	}
	s.failed.Store(nil)
	return nil
}

// isPresent says whether role and keyring are those from before the step, or those that the step writes.
func (s *Store) isPresent(ctx context.Context, r *record) (bool, error) {
	for _, key := range []string{roleKey, vaultname.Keyring} {
		e, err := s.read(ctx, key)
		if err != nil {
			return false, fmt.Errorf("read of %s: %w", key, err)
		}
		if u := r.row(key); u != nil {
			if !u.written(e) && !printOf(u.entry()).is(e) {
				return false, nil
			}
		} else if !slices.ContainsFunc(r.State, func(b bound) bool { return b.Key == key && b.Is.is(e) }) {
			return false, nil
		}
	}
	return true, nil
}

func put(ctx context.Context, store physical.Backend, key string, value []byte) error {
	if value == nil {
		return store.Delete(ctx, key)
	}
	return store.Put(ctx, &physical.Entry{Key: key, Value: value})
}
