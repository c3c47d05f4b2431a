// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// tailMax bounds the rows of a tail, because a change of role waits while they are read.
	tailMax = 1 << 20
	// tailGroup is how many numbers are read from storage at once.
	tailGroup = 1024
)

// Tail is the last part of a primary's writes in a mode: those after From, which not all slots have acknowledged, up to
// To.
type Tail struct {
	Epoch    replication.Epoch
	From, To uint64
	// Terms are the terms whose rows may be stored.
	Terms []journal.TermStart
	Keys  map[string]LastWrite
}

// LastWrite is the last write of a key.
type LastWrite struct {
	Sequence uint64
	Deleted  bool
}

// Tail reads the tail from the journal. If no slot holds, or too many rows would be read, it has no keys and From is
// To.
func (p *contents) Tail(ctx context.Context, mode replication.Mode) (*Tail, error) {
	j, cfg, err := p.journalOf(mode)
	if err != nil {
		return nil, err
	}
	t := &Tail{Epoch: cfg.Epoch, To: j.Watermark(), Keys: map[string]LastWrite{}}
	t.From = j.kept.Behind(mode, t.To)
	terms, rows := j.kept.Terms(), 0
	t.Terms = terms
	for i, term := range terms {
		last := t.To
		if i < len(terms)-1 {
			last = min(last, terms[i+1].First-1)
			if term.Next > 0 {
				last = min(last, term.Next-1) // there are no rows above
			}
		}
		for at := max(t.From+1, term.First); at <= last; at += tailGroup {
			if rows += tailGroup; rows > tailMax {
				return &Tail{Epoch: t.Epoch, From: t.To, To: t.To, Terms: terms}, nil
			}
			if err := p.addRows(ctx, t, mode, term.Term, at, min(at+tailGroup-1, last)); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (p *contents) addRows(ctx context.Context, t *Tail, mode replication.Mode, term, first, last uint64) error {
	keys := make([]string, 0, last-first+1)
	for n := first; n <= last; n++ {
		keys = append(keys, journal.RowKey(term, n))
	}
	rows, err := p.below.ReadAll(ctx, keys)
	if err != nil {
		return failure.Storage("read journal rows", err)
	}
	for i, row := range rows {
		if row == nil {
			continue
		}
		ops, err := journal.DecodeRow(row)
		if err != nil {
			return replication.Errorf(replication.StorageFailed, "the journal row %s cannot be read: %w", keys[i], err)
		}
		for _, op := range ops {
			if keyclass.InMode(op.Class, mode) {
				t.Keys[op.Key] = LastWrite{Sequence: first + uint64(i), Deleted: op.Kind == journal.Delete}
			}
		}
	}
	return nil
}
