// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
)

// localKeys are local to each cluster of the set. The primary has them too.
var localKeys = []string{"sys/expire/id/1", "sys/token/id/1", "logical/p/certs/1", "logical/p/certs/2"}

// locals are the local keys of a performance secondary, with what each may be: what was
// answered, and what was not since.
type locals struct {
	mu  sync.Mutex
	may map[string][][]byte
}

// writeLocal is the core of a performance secondary: it writes what is local to it, and tries
// to write what is not.
func (r *run) writeLocal(ctx context.Context, s *node, stream uint64) {
	rng := r.plan.stream(stream)
	for n := 0; ctx.Err() == nil; n++ {
		pause(ctx, short(rng, 2*time.Second))
		p := s.now()
		if p == nil || !p.admit() {
			continue
		}
		b := p.tap.Backend()
		shared := &physical.Entry{Key: r.plan.keys[rng.IntN(len(r.plan.keys))], Value: []byte("not the primary's")}
		if err := b.Put(ctx, shared); err == nil {
			r.fail(Classes, "the core of %s has written %s, which only the primary may", s.name, shared.Key)
		}
		key := append([]string{"logical/ls/1", "logical/ls/2"}, localKeys...)[rng.IntN(len(localKeys)+2)]
		value := fmt.Appendf(nil, "%s's %d", s.name, n)
		s.locals.mu.Lock()
		before := s.locals.of(key)
		s.locals.may[key] = append(slices.Clone(before), value)
		s.locals.mu.Unlock()
		err := b.Put(ctx, &physical.Entry{Key: key, Value: value})
		s.locals.mu.Lock()
		switch {
		case err == nil:
			s.locals.may[key] = [][]byte{value}
		case errors.Is(err, logical.ErrReadOnly):
			s.locals.may[key] = before
		}
		s.locals.mu.Unlock()
		p.writes.Done()
	}
}

// of needs mu.
func (l *locals) of(key string) [][]byte {
	if v, ok := l.may[key]; ok {
		return v
	}
	return [][]byte{nil}
}
