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
	// gatherAtOnce is how many such transactions may be under way: raft stores one in its log while it applies the one
	// before.
	gatherAtOnce = 2
)

// gathering joins the writes that come while others are being stored into one transaction with one journal row. A row
// costs as much as a small write, and one row for each write would cost the primary an eighth of its throughput. A
// write that finds the storage idle goes alone at once: it does not wait for others to come.
//
// The writes of one transaction were made at the same time, so no order between them is lost. Each write mode has its
// own gathering, so all writes in a transaction are treated alike.
type gathering struct {
	mu      sync.Mutex
	storing int
	waiting []*gathered
}

// together counts gathered writes and their rows.
type together struct{ writes, rows atomic.Uint64 }

// Gathered counts the writes that shared a row with others, and these rows, since the node was started.
func (c *together) Gathered() (writes, rows uint64) { return c.writes.Load(), c.rows.Load() }

// numbered is a write that gets a number in the journal. Its keys are locked; written is called before they are
// unlocked.
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
	turn chan turn // gets one value
}

// turn is the result of a write that was stored together with another one. If batch is set, it is instead the batch
// that this write has to store, itself first.
type turn struct {
	batch []*gathered
	keeps bool
	err   error
}

// enter returns a batch if the storage is idle. If it returns nil, the write waits.
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

// leave takes a write back; it is false if its turn has come.
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

// next is the next batch after one has ended, nil if no write waits.
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
