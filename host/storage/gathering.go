// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

const (
	// gatherEntries and gatherBytes bound a transaction of gathered writes, beside the limits
	// of the storage.
	gatherEntries = 64
	gatherBytes   = 128 << 10
	// gatherAtOnce is how many of them are under way: raft stores one in its log while it
	// applies the one before.
	gatherAtOnce = 2
)

// gathering joins the writes that come while others are being stored into one
// transaction with one row of the journal. Each row costs as much as a small write,
// and one for each write would cost the primary an eighth of its throughput. Nobody
// waits for company: a write that finds the storage idle goes by itself.
//
// The writes of one transaction were made at the same time, so no order between them
// is lost. It belongs to a write mode, whose writes are all treated alike.
type gathering struct {
	mu      sync.Mutex
	storing int
	waiting []*gathered
}

// together counts what was gathered.
type together struct{ writes, rows atomic.Uint64 }

// Gathered counts, since the node was started, the writes that shared a row with others, and these rows.
func (c *together) Gathered() (writes, rows uint64) { return c.writes.Load(), c.rows.Load() }

// numbered is a write that gets a number of the journal. Its keys are locked, and
// written is called before they are unlocked.
type numbered struct {
	writes  []*physical.TxnEntry
	effects effects
	store   func(context.Context, []*physical.TxnEntry) error
	written func()
	locks   lock.Held
}

// gathered is a write that waits for its turn.
type gathered struct {
	*numbered
	turn chan turn // gets one
}

// turn is the result of a write that another one has taken along, or those that this
// one has to store, itself first.
type turn struct {
	batch []*gathered
	keeps bool
	err   error
}

// enter is the batch of a write that finds the storage idle; one that gets nil waits.
func (g *gathering) enter(m *gathered) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.storing < gatherAtOnce {
		g.storing++
		return []*gathered{m}
	}
	g.waiting = append(g.waiting, m)
	return nil
}

// leave takes a write back; false if its turn has come.
func (g *gathering) leave(m *gathered) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// next is the batch that follows one that has ended; nil if nobody waits.
func (g *gathering) next(most int) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, entries, bytes := 0, 0, 0
	for _, m := range g.waiting {
		entries, bytes = entries+len(m.writes), bytes+txn.SizeOf(m.writes)
		if n > 0 && (entries > most || bytes > gatherBytes) {
			break
		}
		n++
	}
	if n == 0 {
		g.storing--
		return nil
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}
