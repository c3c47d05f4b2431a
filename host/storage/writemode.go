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

// writeMode is how writes are treated at a time. It is immutable but for the count
// of the writes in it.
type writeMode struct {
	guard     Guard
	journal   activeJournal // nil unless a primary
	journaled []replication.Mode
	indexes   map[replication.Mode]*index.Index // that are told of writes

	gathering gathering // of writes that are journalled

	rows     byClass // gets a row in the journal
	watched  byClass // journal or a fingerprint wants to see its writes
	watching bool

	inflight atomic.Int64
	retired  atomic.Bool
	once     sync.Once
	done     chan struct{}
}

// activeJournal is the journal of a term, as a write uses it.
type activeJournal interface {
	// Term is that of all numbers that the journal gives out.
	Term() uint64
	// Allocate gives out the number of a write, and says whether its row is to be stored.
	Allocate(ctx context.Context) (n uint64, retain bool, err error)
	// Stored counts a row that is stored, or may be.
	Stored(bytes int)
	// Finish says that the write of a row, or what became of it, is in the storage.
	Finish(row *journal.Row)
	// Watermark is the number up to which all writes are finished.
	Watermark() uint64
	// Lifetime ends with the journal.
	Lifetime() context.Context
}

// byClass says something of the keys of each class.
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

// with makes a write mode from this one; change may replace fields and must not
// change maps.
func (r *writeMode) with(change func(*writeMode)) *writeMode {
	n := &writeMode{guard: r.guard, journal: r.journal, journaled: r.journaled, indexes: r.indexes}
	change(n)
	return newWriteMode(n)
}

// hold counts once more, for work that outlives the call that entered.
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
