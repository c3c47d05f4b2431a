// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// writeMode says how writes are treated at a time. Only the count of the writes in it changes.
type writeMode struct {
	guard     Guard
	journal   activeJournal // nil unless a primary
	journaled []replication.Mode
	indexes   map[replication.Mode]*index.Index // those that are told of writes

	gathering gathering // of journalled writes

	rows     byClass // classes whose writes get a row in the journal
	watched  byClass // classes whose writes the journal or an index must see
	watching bool

	inflight atomic.Int64
	retired  atomic.Bool
	once     sync.Once
	done     chan struct{}
}

// activeJournal is the journal of a term, as the write path uses it.
type activeJournal interface {
	// Term is the term of all numbers that the journal gives out.
	Term() uint64
	// Allocate gives out the number of a write. retain says whether its row must be stored.
	Allocate(ctx context.Context) (n uint64, retain bool, err error)
	// Stored counts a row that is stored, or may be.
	Stored(bytes int)
	// Finish says that the write of a row has ended: it is stored, or the row says what the storage has instead.
	Finish(row *journal.Row)
	// Watermark is the number up to which all writes are finished.
	Watermark() uint64
	// Lifetime ends with the journal.
	Lifetime() context.Context
}

// byClass has a flag for each class.
type byClass [keyclass.Own + 1]bool

func (b *byClass) add(m replication.Mode) {
	for c := range b {
		b[c] = b[c] || keyclass.InMode(keyclass.Class(c), m)
	}
}

func newWriteMode(r *writeMode) *writeMode {
	r.done = make(chan struct{})
	r.watching = r.journal != nil || len(r.indexes) > 0
	for _, m := range r.journaled {
		r.rows.add(m)
		r.watched.add(m)
	}
	for m := range r.indexes {
		r.watched.add(m)
	}
	return r
}

// with makes a write mode from this one. change may replace fields, but must not change maps.
func (r *writeMode) with(change func(*writeMode)) *writeMode {
	n := &writeMode{guard: r.guard, journal: r.journal, journaled: r.journaled, indexes: r.indexes}
	change(n)
	return newWriteMode(n)
}

// hold enters once more, for work that outlives the call that entered.
func (r *writeMode) hold() { r.inflight.Add(1) }

func (r *writeMode) leave() {
	if r.inflight.Add(-1) == 0 && r.retired.Load() {
		r.once.Do(func() { close(r.done) })
	}
}

func (r *writeMode) retire() {
	r.retired.Store(true)
	if r.inflight.Load() == 0 {
		r.once.Do(func() { close(r.done) })
	}
}
