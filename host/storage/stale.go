// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

// stale are the rows of a stored index that have counted a key which is about to be written.
// They are deleted with the write, or before it. Only the first write to a block after the
// block was stored has any.
type stale struct {
	index   *fingerprint.Index
	key     string
	rows    []string
	storing <-chan struct{}
}

// writing tells the fingerprints that keys are about to be written; the caller has their
// locks, and calls what it returns before it gives them back.
func (r *writeMode) writing(effects effects) (all []stale, written func()) {
	for m, x := range r.indexes {
		for i := range effects {
			if !keyclass.InMode(effects[i].class, m) {
				continue
			}
			rows, storing := x.Sums().Writing(effects[i].key)
			if rows != nil || storing != nil {
				all = append(all, stale{x.Sums(), effects[i].key, rows, storing})
			}
		}
	}
	return all, func() {
		for m, x := range r.indexes {
			for i := range effects {
				if keyclass.InMode(effects[i].class, m) {
					x.Sums().Written(effects[i].key)
				}
			}
		}
	}
}

// withStale adds the deletion of stale rows to writes, ahead of them. What cannot be in
// one transaction with them is deleted at once. Deleted is called when the writes are
// made.
func (wp *writePath) withStale(ctx context.Context, writes []*physical.TxnEntry,
	all []stale) (joint []*physical.TxnEntry, deleted func(), err error) {
	deleted = func() {}
	var rows []string
	for i := range all {
		s := &all[i]
		for s.storing != nil {
			select {
			case <-s.storing:
				s.rows, s.storing = s.index.Rows(s.key)
			case <-ctx.Done():
				return nil, deleted, ctx.Err()
			}
		}
		for _, row := range s.rows {
			if !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return writes, deleted, nil
	}
	for _, row := range rows {
		joint = append(joint, txn.Delete(row))
	}
	gone := func() {
		for i := range all {
			all[i].index.Deleted(all[i].key, all[i].rows)
		}
	}
	if wp.below.Txn != nil && wp.below.Fits(append(joint, writes...), nil) {
		return append(joint, writes...), gone, nil
	}
	if err := wp.below.StoreSplit(ctx, joint); err != nil {
		return nil, deleted, err
	}
	gone()
	return writes, deleted, nil
}
