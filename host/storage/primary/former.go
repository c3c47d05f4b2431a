// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

// DeleteFormerRows deletes the rows of the journal if no journal runs, because nobody reads them any more. If a journal
// begins meanwhile, its rows stay, because they are of a new term. After an error call it again; it goes on with what
// is left.
func (p *Primary) DeleteFormerRows(ctx context.Context) error {
	terms, err := p.formerTerms(ctx)
	for _, term := range terms {
		if err == nil {
			err = p.deleteTerm(ctx, term)
		}
	}
	return err
}

func (p *Primary) formerTerms(ctx context.Context) ([]string, error) {
	defer p.needs.Writes.Hold()()
	if p.now.Load() != nil {
		return nil, nil
	}
	terms, err := p.needs.Below.Inner.List(ctx, journal.RowPrefix)
	if err != nil {
		return nil, failure.Storage("list the terms of the journal", err)
	}
	return terms, nil
}

func (r *records) deleteTerm(ctx context.Context, term string) error {
	w, err := walk.Below(ctx, r.below.Inner, journal.RowPrefix+term)
	if err != nil {
		return err
	}
	for {
		keys, err := w.Group(ctx, func(string) bool { return true }, "")
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := r.below.StoreSplit(ctx, txn.Deletes(keys)); err != nil {
			return failure.Storage("delete rows of the former journal", err)
		}
	}
}
