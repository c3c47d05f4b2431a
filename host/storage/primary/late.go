// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// latePasses is how often such a row is taken up: its data comes after it.
	latePasses = 3
	// lateShare bounds the time that looking takes: one part in so many.
	lateShare = 20
)

// lateRows finds what a deposed leader has written since another node leads, on storage
// that cannot keep it from writing. Its rows are of another term than this one's, and
// were not there when this one began: who has read past them would not get what they
// wrote. So their keys are journalled once more, with the values that they have now.
type lateRows struct {
	j      *Journal
	writes WritePath
	// done are the numbers of rows, by the prefix of their term, that are not looked at again;
	// pending are the rows that are.
	done    map[string]*numberSet
	pending map[string]lateRow
}

// lateRow is a row of another term: how often it was taken up, and whether it has come
// after this term had begun.
type lateRow struct {
	passes int
	late   bool
}

// watch looks as long as the journal is the present one.
func (l *lateRows) watch(every time.Duration) {
	first := true
	for {
		begun := time.Now()
		if err := l.look(l.j.ctx, first); err == nil {
			first = false
		} else if l.j.ctx.Err() == nil {
			l.j.below.Logger.Warn("rows of a deposed leader cannot be looked for; trying again", "error", err)
		}
		if pause.For(l.j.ctx, max(every, lateShare*time.Since(begun))) != nil {
			return
		}
	}
}

// look takes up what is late: each row that was not there the first time, and before
// that the unfinished end of the former term, whose last writes may still be under way.
func (l *lateRows) look(ctx context.Context, first bool) error {
	if err := l.j.keepHead(ctx); err != nil {
		return err
	}
	terms, err := l.j.below.Inner.List(ctx, journal.RowPrefix)
	if err != nil {
		return failure.Storage("list the terms of the journal", err)
	}
	for _, name := range terms {
		term, err := strconv.ParseUint(strings.TrimSuffix(name, "/"), 16, 64)
		if err != nil || term >= l.j.Term() {
			// A newer one is that of the leader who has deposed this one.
			continue
		}
		if err := l.lookAt(ctx, term, first); err != nil {
			return err
		}
	}
	return nil
}

// lookAt looks at the rows of a term.
func (l *lateRows) lookAt(ctx context.Context, term uint64, first bool) error {
	prefix := journal.TermPrefix(term)
	names, err := l.j.below.Inner.List(ctx, prefix)
	if err != nil {
		return failure.Storage("list the rows of another term", err)
	}
	done := l.done[prefix]
	if done == nil {
		done = &numberSet{}
		l.done[prefix] = done
	}
	for _, name := range names {
		n, err := strconv.ParseUint(name, 16, 64)
		if err != nil || done.have(n) {
			continue
		}
		key := prefix + name
		row, known := l.pending[key]
		if !known && first && !(strings.HasPrefix(l.j.formerEnd, prefix) && key > l.j.formerEnd) {
			done.add(n)
			continue
		}
		if row.late = row.late || !known && !first; row.late {
			l.j.kept.FoundLate(term, n)
		}
		if err := l.take(ctx, key, row); err != nil {
			return err
		}
		if row.passes++; row.passes < latePasses {
			l.pending[key] = row
			continue
		}
		delete(l.pending, key)
		done.add(n)
	}
	return nil
}

// take journals the keys of a row anew. What a late one has written is not in the
// fingerprints, which are computed anew, once its data must have come too.
func (l *lateRows) take(ctx context.Context, key string, row lateRow) error {
	b, err := l.j.below.ReadFresh(ctx, key)
	if err != nil {
		return failure.Storage("read a row of another term", err)
	}
	if b == nil {
		return nil // every secondary had it
	}
	ops, err := journal.DecodeRow(b)
	if err != nil {
		return replication.Errorf(replication.StorageFailed, "the journal row %s cannot be read: %w", key, err)
	}
	keys := make([]string, len(ops))
	for i := range ops {
		keys[i] = ops[i].Key
	}
	if err := l.writes.JournalForeign(ctx, l.j, keys, row.late); err != nil {
		return err
	}
	if row.late && l.j.ctx.Err() == nil {
		l.j.below.Logger.Warn("a deposed leader has written after this node took over; what its keys have now is sent "+
			"to the secondaries", "row", key, "keys", len(keys))
	}
	return nil
}

// numberSet is a set of numbers of rows. Those that follow each other take the room of one:
// a term may have millions, and they have few gaps.
type numberSet struct{ runs []run }

type run struct{ first, last uint64 }

// find is the first run that ends at a number or after it.
func (s *numberSet) find(n uint64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].last >= n })
}

func (s *numberSet) have(n uint64) bool {
	i := s.find(n)
	return i < len(s.runs) && s.runs[i].first <= n
}

func (s *numberSet) add(n uint64) {
	i := s.find(n)
	after := i < len(s.runs) && s.runs[i].first <= n+1
	before := i > 0 && s.runs[i-1].last+1 == n
	switch {
	case after && before:
		s.runs[i-1].last = s.runs[i].last
		s.runs = slices.Delete(s.runs, i, i+1)
	case after:
		s.runs[i].first = min(s.runs[i].first, n)
	case before:
		s.runs[i-1].last = n
	default:
		s.runs = slices.Insert(s.runs, i, run{n, n})
	}
}
