// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/txn"
)

// ack is a write that was answered without an error.
type ack struct {
	key   string
	value []byte
}

// fill gives the primary its content before replication begins, and the secondaries content
// that has to go.
func (r *run) fill() {
	rng := r.plan.stream(2)
	for _, k := range r.plan.keys {
		if rng.IntN(3) > 0 {
			value := fmt.Appendf(nil, "first of %s", k)
			r.history.before(k, value)
			r.primary.disk.set(k, value)
		}
		for _, s := range r.secondaries {
			if rng.IntN(4) == 0 {
				s.disk.rows[k] = []byte("of before")
			}
		}
	}
	for _, s := range r.secondaries {
		s.disk.rows["logical/z/of-before"] = []byte("of before")
	}
}

// write is one writer: one write after the other, each answered or not.
func (r *run) write(ctx context.Context, writer int) {
	rng := r.plan.stream(100 + uint64(writer))
	mean := r.plan.length / time.Duration(r.plan.writes)
	for n := range r.plan.writes {
		// Now and then several without a pause.
		if rng.IntN(3) > 0 {
			pause(ctx, time.Duration(rng.Int64N(int64(3*mean))))
		}
		for r.primary.now() == nil && ctx.Err() == nil {
			pause(ctx, 100*time.Millisecond)
		}
		p := r.primary.leading(rng)
		if ctx.Err() != nil || p == nil {
			return
		}
		batch, acks := r.batch(rng, writer, n)
		impatient := rng.IntN(8) == 0
		if !p.admit() {
			continue
		}
		if err := send(ctx, p, batch, impatient); err == nil {
			r.answered(acks)
		}
		p.writes.Done()
	}
}

// batch makes one write. Values are never used twice.
func (r *run) batch(rng *rand.Rand, writer, n int) (*txn.Batch, []ack) {
	b := &txn.Batch{}
	var acks []ack
	count := 1
	if rng.IntN(4) == 0 {
		count = 2 + rng.IntN(4)
	}
	for range count {
		k := r.plan.keys[rng.IntN(len(r.plan.keys))]
		if rng.IntN(4) == 0 { // some are written much more often
			k = r.plan.keys[rng.IntN(2)]
		}
		if rng.IntN(5) == 0 {
			b.Delete(k)
			continue
		}
		b.Put(&physical.Entry{Key: k, Value: fmt.Appendf(nil, "w%d-%d-%s%s", writer, n, k,
			strings.Repeat(".", rng.IntN(40)))})
	}
	for _, e := range b.Entries() {
		if e.Operation == physical.PutOperation {
			acks = append(acks, ack{e.Entry.Key, e.Entry.Value})
		}
	}
	return b, acks
}

// send writes through the tap as a core does, or as the host's own commits do. A
// client may give up before the answer.
func send(ctx context.Context, p *process, b *txn.Batch, impatient bool) error {
	if impatient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 200*time.Microsecond)
		defer cancel()
	}
	entries := b.Entries()
	backend := p.tap.Backend()
	if txn, ok := backend.(physical.Transactional); ok && len(entries) > 1 {
		return txn.Transaction(ctx, entries)
	}
	if len(entries) > 1 {
		return p.tap.Commit(ctx, b)
	}
	if entries[0].Operation == physical.DeleteOperation {
		return backend.Delete(ctx, entries[0].Entry.Key)
	}
	return backend.Put(ctx, entries[0].Entry)
}

func (r *run) answered(acks []ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked = append(r.acked, acks...)
}
