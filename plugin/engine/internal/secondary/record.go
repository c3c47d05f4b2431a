// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
)

// records is the part of replication.Host that is needed to keep records.
type records interface {
	GetState(ctx context.Context, key string) ([]byte, error)
	PutState(ctx context.Context, key string, value []byte) error
}

// record is what is stored under a key, and the same in memory.
type record[T any] struct {
	records records
	key     string
	// writing is held while the record is written. That may take long, and a status must
	// not wait for it.
	writing link.Gate

	mu    sync.Mutex
	value T
}

func newRecord[T any](r records, key string, value T) record[T] {
	return record[T]{records: r, key: key, writing: link.NewGate(), value: value}
}

func (r *record[T]) now() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value
}

// change writes only what has changed.
func (r *record[T]) change(ctx context.Context, do func(*T)) error {
	if err := r.writing.Enter(ctx); err != nil {
		return err
	}
	defer r.writing.Leave()
	now := r.now()
	next := now
	do(&next)
	before, err := json.Marshal(now)
	if err != nil {
		return err
	}
	after, err := json.Marshal(next)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	if err := r.records.PutState(ctx, r.key, after); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.value = next
	return nil
}
