// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"container/list"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/operation"
)

// mostChanges bounds the keys that are kept for one mount, some megabytes of names.
const mostChanges = 1 << 16

// Readers are the requests under way in a backend. Such a request may have read a key before the key changed, and may
// put the old value into the backend's memory after the backend was told of the change. Transit does so with its keys,
// PKI with its settings, and the backend would serve the old value for ever. So a key is noted here before the backend
// is told of it. When a request ends, the backend is told again of the keys that changed meanwhile.
//
// The zero value has no requests. The methods may be called at the same time.
type Readers struct {
	mu sync.Mutex
	// running has for each request the number of the first change after its begin, the
	// oldest request first.
	running list.List
	// changed are the keys that changed since the oldest request began. The first of them
	// has the number first.
	changed []string
	first   uint64
	// room is closed when there is room again; nil if nobody waits for it.
	room chan struct{}
}

// Reader is one request.
type Reader struct{ at *list.Element }

// Begin is called before a request reads anything.
func (r *Readers) Begin() Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Reader{r.running.PushBack(r.first + uint64(len(r.changed)))}
}

// End is called when the request no longer uses anything that it has read. It returns the keys of which the backend
// must be told again.
func (r *Readers) End(reader Reader) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, _ := r.running.Remove(reader.at).(uint64)
	again := unique(r.changed[since-r.first:])
	r.forget()
	return again
}

// forget drops what changed before the oldest request began.
func (r *Readers) forget() {
	keep := r.first + uint64(len(r.changed))
	if oldest := r.running.Front(); oldest != nil {
		keep, _ = oldest.Value.(uint64)
	}
	if keep == r.first {
		return
	}
	r.changed = slices.Delete(r.changed, 0, int(keep-r.first))
	r.first = keep
	if len(r.changed) == 0 {
		r.changed = nil
	}
	if r.room != nil {
		close(r.room)
		r.room = nil
	}
}

// Changed notes a key that has changed in storage, before the backend is told. If too many
// keys have changed because a request hangs, it waits for the end of that request. It
// returns an error only if ctx ends first. Then the backend may keep an old value and has
// to be made anew.
func (r *Readers) Changed(ctx context.Context, key string) error {
	for {
		r.mu.Lock()
		if r.running.Len() == 0 {
			r.mu.Unlock()
			return nil
		}
		if len(r.changed) < mostChanges {
			r.changed = append(r.changed, key)
			r.mu.Unlock()
			return nil
		}
		if r.room == nil {
			r.room = make(chan struct{})
		}
		room := r.room
		r.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unique is a copy of keys without repetitions, in their order.
func unique(keys []string) []string {
	if len(keys) == 0 {
		return nil
	}
	seen := make(map[string]bool, len(keys))
	var all []string
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			all = append(all, key)
		}
	}
	return all
}

// Watch has r count the requests to the paths of b whose patterns begin with prefix, and
// the runs of b's periodic function. It is for a backend that keeps its type and cannot be
// wrapped. Tell tells the backend of a key.
func (r *Readers) Watch(b *framework.Backend, prefix string, tell func(ctx context.Context, key string)) {
	begin := func(ctx context.Context) (end func()) {
		reader := r.Begin()
		return func() {
			for _, key := range r.End(reader) {
				tell(context.WithoutCancel(ctx), key)
			}
		}
	}
	for _, p := range b.Paths {
		if !strings.HasPrefix(strings.TrimPrefix(p.Pattern, "^"), prefix) {
			continue
		}
		for op, h := range p.Operations {
			p.Operations[op] = operation.Around(h, func(stock framework.OperationFunc) framework.OperationFunc {
				return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
					defer begin(ctx)()
					return stock(ctx, req, data)
				}
			})
		}
		if exists := p.ExistenceCheck; exists != nil {
			p.ExistenceCheck = func(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
				defer begin(ctx)()
				return exists(ctx, req, data)
			}
		}
	}
	if periodic := b.PeriodicFunc; periodic != nil {
		b.PeriodicFunc = func(ctx context.Context, req *logical.Request) error {
			defer begin(ctx)()
			return periodic(ctx, req)
		}
	}
}
