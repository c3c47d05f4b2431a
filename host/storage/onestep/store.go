// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
)

// Store is storage without transactions in which steps are made. As long as a step is not
// complete it reads as before, on every node.
type Store struct {
	inner physical.Backend
	files bool
	key   atomic.Pointer[func() ([]byte, error)]

	// mu is held while a step is made or undone.
	mu sync.Mutex
	// failed is the step of this process that could not be undone yet.
	failed atomic.Pointer[record]
	again  *time.Timer
	closed bool
}

// Over makes steps possible in a storage. One with transactions needs nothing. Files says that it is file storage,
// which has remains of writes that were cut.
func Over(store physical.Backend, files bool) physical.Backend {
	if _, ok := store.(physical.TransactionalBackend); ok {
		return store
	}
	return &Store{inner: store, files: files}
}

// SetKey gives the key that records are authenticated with. The function is called when a
// step is made or settled.
func (s *Store) SetKey(key func() ([]byte, error)) { s.key.Store(&key) }

// Close ends what is tried again in the background.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.again != nil {
		s.again.Stop()
	}
}

// pending reads the record, nil if there is none that can be read. Past the cache, for
// another node may have written or removed it.
func (s *Store) pending(ctx context.Context) (*record, error) {
	e, err := s.read(ctx, RecordKey)
	if err != nil || e == nil {
		return nil, err
	}
	r, err := decode(e.Value)
	if err != nil {
		return nil, nil //nolint:nilerr // what cannot be read changes nothing here, and Settle says so
	}
	return r, nil
}

// Get implements physical.Backend.
func (s *Store) Get(ctx context.Context, key string) (*physical.Entry, error) {
	e, err := s.inner.Get(ctx, key)
	if err != nil && !s.torn(err) || !Allowed(key) {
		return e, err
	}
	// The record after the row: a row of the step that is read before the record is
	// written is not there yet.
	r, perr := s.pending(ctx)
	if perr != nil {
		return nil, perr
	}
	if r != nil {
		if u := r.row(key); u != nil && u.written(e) {
			return u.entry(), nil
		}
	}
	return e, err
}

// List implements physical.Backend.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.inner.List(ctx, prefix)
	if err != nil || !mayHold(prefix) {
		return names, err
	}
	r, err := s.pending(ctx)
	if err != nil || r == nil {
		return names, err
	}
	names = slices.Clone(names)
	for i := range r.Rows {
		u := &r.Rows[i]
		rest, ok := strings.CutPrefix(u.Key, prefix)
		if !ok || rest == "" {
			continue
		}
		name, _, nested := strings.Cut(rest, "/")
		if nested {
			name += "/"
		}
		has := u.Exists
		if !has && nested {
			left, err := s.List(ctx, prefix+name)
			if err != nil {
				return nil, err
			}
			has = len(left) > 0
		}
		at := slices.Index(names, name)
		switch {
		case has && at < 0:
			names = append(names, name)
		case !has && at >= 0:
			names = slices.Delete(names, at, at+1)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Put implements physical.Backend.
func (s *Store) Put(ctx context.Context, e *physical.Entry) error {
	if err := s.beforeWrite(ctx, e.Key); err != nil {
		return err
	}
	return s.inner.Put(ctx, e)
}

// Delete implements physical.Backend.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.beforeWrite(ctx, key); err != nil {
		return err
	}
	return s.inner.Delete(ctx, key)
}

// beforeWrite undoes a step of this process that has failed: what is written now is
// written upon the state before it.
func (s *Store) beforeWrite(ctx context.Context, key string) error {
	if s.failed.Load() == nil || !Allowed(key) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.undoFailed(ctx)
}
