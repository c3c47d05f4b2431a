// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// DefaultLateEvery is how often rows of deposed leaders are looked for.
	DefaultLateEvery = 5 * time.Second
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
	j    *activeJournal
	seen map[string]lateRow
}

// lateRow is a row of another term: how often it was taken up, and whether it has come
// after this term had begun.
type lateRow struct {
	passes int
	late   bool
}

// watchLate looks as long as the journal is the present one.
func (j *activeJournal) watchLate() {
	l := &lateRows{j: j, seen: map[string]lateRow{}}
	first := true
	for {
		begun := time.Now()
		if err := l.look(j.ctx, first); err == nil {
			first = false
			j.of.lateLooks.Add(1)
		} else if j.ctx.Err() == nil {
			j.of.below.Logger.Warn("rows of a deposed leader cannot be looked for; trying again", "error", err)
		}
		select {
		case <-time.After(max(j.of.lateEvery, lateShare*time.Since(begun))):
		case <-j.ctx.Done():
			return
		}
	}
}

// look takes up what is late: each row that was not there the first time, and before
// that the unfinished end of the former term, whose last writes may still be under way.
func (l *lateRows) look(ctx context.Context, first bool) error {
	terms, err := l.j.of.below.Inner.List(ctx, journal.RowPrefix)
	if err != nil {
		return failure.Storage("list the terms of the journal", err)
	}
	own := journal.TermPrefix(l.j.term)
	for _, term := range terms {
		prefix := journal.RowPrefix + term
		if !olderTerm(prefix, own) {
			// A newer one is that of the leader who has deposed this one.
			continue
		}
		names, err := l.j.of.below.Inner.List(ctx, prefix)
		if err != nil {
			return failure.Storage("list the rows of another term", err)
		}
		for _, name := range names {
			key := prefix + name
			row, known := l.seen[key]
			switch {
			case row.passes >= latePasses:
				continue
			case !known && first && !(strings.HasPrefix(l.j.formerEnd, prefix) && key > l.j.formerEnd):
				row.passes = latePasses
			default:
				row.late = row.late || !known && !first
				if err := l.take(ctx, key, row); err != nil {
					return err
				}
				row.passes++
			}
			l.seen[key] = row
		}
	}
	return nil
}

// take journals the keys of a row anew. What a late one has written is not in the
// fingerprints, which are computed anew, once its data must have come too.
func (l *lateRows) take(ctx context.Context, key string, row lateRow) error {
	b, err := l.j.of.below.ReadFresh(ctx, key)
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
	r := l.j.of.enter()
	defer r.leave()
	if r.journal != l.j {
		return nil
	}
	if err := l.j.of.journalKeys(ctx, r, keys); err != nil {
		return err
	}
	if row.late {
		l.j.of.below.Logger.Warn("a deposed leader has written after this node took over; what its keys have now is sent to the secondaries", "row", key, "keys", len(keys))
		return r.invalidateStored(ctx)
	}
	return nil
}

// olderTerm compares the prefixes of two terms, which are hexadecimal numbers.
func olderTerm(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }
