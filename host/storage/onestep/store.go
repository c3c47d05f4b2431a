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

// Store is storage without transactions that can make steps. Until a step is complete, every node reads the former
// rows.
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

// Over adds steps to a storage without transactions. files says that it is file storage, in which cut writes leave
// remains.
func Over(store physical.Backend, files bool) physical.Backend {
	if _, ok := store.(physical.TransactionalBackend); ok {
		return store
	}
	return &Store{inner: store, files: files}
}

// SetKey gives the function for the key that authenticates records. It is called when a step is made or settled.
func (s *Store) SetKey(key func() ([]byte, error)) { s.key.Store(&key) }

// Close ends the attempts in the background.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.again != nil {
		s.again.Stop()
	}
}

// pending reads the record, nil without a readable one. It reads past the cache, because another node may have written
// or removed the record.
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
	// Read the record after the row: if the record was not there then, the row read before it is not one of the step.
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

// beforeWrite first undoes a failed step of this process, so that the write goes over the former state.
func (s *Store) beforeWrite(ctx context.Context, key string) error {
	if s.failed.Load() == nil || !Allowed(key) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.undoFailed(ctx)
}
