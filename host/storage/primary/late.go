// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/pause"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// latePasses is how often the keys of a late row are journalled: its data comes after the row.
	latePasses = 3
	// lateShare bounds the time for looking to one part in so many.
	lateShare = 20
)

// lateRows finds the writes of a deposed leader on storage that cannot keep it from writing. Their rows are of a former
// term, and were not there when this term began. A secondary that has read past them would never get their writes. So
// their keys are journalled once more, with their present values.
type lateRows struct {
	j      *Journal
	writes WritePath
	// done has the numbers of rows that need no other look, by the prefix of their term. pending has the rows that do.
	done    map[string]*numberSet
	pending map[string]lateRow
}

// lateRow is a row of another term: how often its keys were journalled, whether it came after this term began, and
// which of its keys have the value that the row wrote.
type lateRow struct {
	passes int
	late   bool
	landed []bool
}

// unfinishedGap is how many numbers without a row end the look for the unfinished end of a term. A crash may leave
// thousands of reserved numbers, and each one costs a read during a takeover. A row that comes later counts as late.
const unfinishedGap = 1024

// unfinished finds the rows of a term after a number, and which of their data is there. It is asked before an index
// begins, because the index may miss data that lands later.
func (r *records) unfinished(ctx context.Context, term, after, last uint64) (map[string]lateRow, error) {
	found, seen := map[string]lateRow{}, after
	for at := after; at < min(last, seen+unfinishedGap); at += rowGroup {
		var keys []string
		for n := at + 1; n <= min(at+rowGroup, last); n++ {
			keys = append(keys, journal.RowKey(term, n))
		}
		rows, err := r.below.ReadAll(physical.CacheRefreshContext(ctx, true), keys)
		if err != nil {
			return nil, failure.Storage("read the unfinished end of a term", err)
		}
		for i, row := range rows {
			ops, err := journal.DecodeRow(row)
			if row == nil {
				continue
			}
			seen = at + rowGroup
			if err != nil {
				continue // whoever takes it up says so
			}
			landed, err := r.landed(ctx, ops)
			if err != nil {
				return nil, err
			}
			found[keys[i]] = lateRow{landed: landed}
		}
	}
	return found, nil
}

// landed says of each operation of a row whether its key has the value that the operation wrote.
func (r *records) landed(ctx context.Context, ops []journal.Op) ([]bool, error) {
	values, err := r.below.ReadAll(physical.CacheRefreshContext(ctx, true), keysOf(ops))
	if err != nil {
		return nil, failure.Storage("read what a row of another term has written", err)
	}
	landed := make([]bool, len(ops))
	for i, v := range values {
		if landed[i] = v == nil; ops[i].Kind == journal.Put {
			landed[i] = v != nil && journal.HashOf(v) == ops[i].Hash
		}
	}
	return landed, nil
}

func keysOf(ops []journal.Op) []string {
	keys := make([]string, len(ops))
	for i := range ops {
		keys[i] = ops[i].Key
	}
	return keys
}

// lands says whether data of a row is there that was not there at the last look.
func (row *lateRow) lands(now []bool) bool {
	news := false
	for i := range now {
		news = news || now[i] && len(row.landed) == len(now) && !row.landed[i]
	}
	row.landed = now
	return news
}

// watch looks again and again until the journal ends.
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

// look takes late rows up. The first time these are the rows at the unfinished end of the former term, whose last
// writes may still be under way. Later they are also the rows that were not there the first time.
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
			// A newer term belongs to the leader that has deposed this one.
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
		if row.late = row.late || !known; row.late {
			l.j.kept.FoundLate(term, n)
		}
		if err := l.take(ctx, key, &row); err != nil {
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

// take journals the keys of a row once more. The fingerprints do not count the writes of a late row, nor data that has
// landed since the indexes began, so they are computed anew. If something of a row lands, it is watched for longer.
func (l *lateRows) take(ctx context.Context, key string, row *lateRow) error {
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
	now, err := l.j.landed(ctx, ops)
	if err != nil {
		return err
	}
	keys, lands := keysOf(ops), row.lands(now)
	if err := l.writes.JournalForeign(ctx, l.j, keys, row.late || lands); err != nil {
		return err
	}
	if lands {
		row.passes = 0
	}
	if row.late && l.j.ctx.Err() == nil {
		l.j.below.Logger.Warn("a deposed leader has written after this node took over; what its keys have now is sent "+
			"to the secondaries", "row", key, "keys", len(keys))
	}
	return nil
}

// numberSet is a set of numbers of rows, kept as runs: a term may have millions of numbers, with few gaps.
type numberSet struct{ runs []run }

type run struct{ first, last uint64 }

// find is the index of the first run that ends at a number or after it.
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
