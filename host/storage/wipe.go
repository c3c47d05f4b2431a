// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ClearView deletes everything below a view (its prefix ends with a slash), past the guard: the keys of a mount that is
// gone, or that the paths filter of this performance secondary hides. The deletions are journalled for this cluster's
// own DR secondaries. After an error call it again; it goes on with what is left.
func (t *Tap) ClearView(ctx context.Context, prefix string) (deleted uint64, err error) {
	if view, _, ok := keyclass.SplitView(prefix); !ok || view != prefix {
		return 0, replication.Errorf(replication.InvalidInput, "%q is no view of a mount, so nothing below it is deleted",
			prefix)
	}
	w, err := walk.Below(ctx, t.below.Inner, prefix)
	if err != nil {
		return 0, err
	}
	for {
		keys, err := w.Group(ctx, func(string) bool { return true }, "")
		if err != nil || len(keys) == 0 {
			return deleted, err
		}
		n, err := t.deleteKeys(ctx, keys)
		deleted += n
		if err != nil {
			return deleted, failure.Storage("delete what a mount has left", err)
		}
	}
}

// deleteKeys deletes keys in transactions, past the guard.
func (wp *writePath) deleteKeys(ctx context.Context, keys []string) (deleted uint64, err error) {
	r := wp.enter()
	defer r.leave()
	for _, piece := range wp.below.Split(txn.Deletes(keys)) {
		if err := wp.commit(ctx, r, piece, txn.Options{}); err != nil {
			return deleted, err
		}
		deleted += uint64(len(piece))
	}
	return deleted, nil
}
