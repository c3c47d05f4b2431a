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

// stale are the rows of a stored index that count a key which is about to be written. They are deleted with the write,
// or before it. Only the first write to a stored block has any.
type stale struct {
	index   *fingerprint.Index
	key     string
	rows    []string
	storing <-chan struct{}
}

// writing tells the indexes that keys are about to be written. The caller has their locks, and calls written before it
// releases them.
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

// withStale puts deletions of stale rows before the writes. If these do not fit into one transaction together, it
// deletes the stale rows at once. The caller calls deleted when the writes are made.
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
