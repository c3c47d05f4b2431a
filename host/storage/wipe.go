// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// WipeLocal deletes what a cluster that has become a secondary has left of its
// own: tokens, leases, local tables and everything else that is not replicated in
// the mode, is not Own, and is encrypted with keys that are gone. Views that no
// mount table has are of the old cluster too, so in performance mode all tables
// must be known. Kept are the records of replication, and keys and prefixes (with
// a slash at the end) that the caller names: local tables that were made for the
// new role.
//
// It passes the guard and is journalled, for this cluster's own DR secondaries.
// After an error it is called again and goes on with what is left. It must be
// done before the core reads or writes anything local. It returns how many keys
// it has deleted.
func (s *secondary) WipeLocal(ctx context.Context, keep ...string) (deleted uint64, err error) {
	if m := s.below.Classes().Mounts(); s.mode == replication.Performance && (m == nil || !m.Complete()) {
		return 0, replication.Errorf(replication.Unavailable,
			"what is left of the former cluster cannot be deleted: it is not known yet which mounts are of the new one")
	}
	w, err := walk.New(ctx, s.below.Inner, "")
	if err != nil {
		return 0, err
	}
	old := func(key string) bool { return s.leftBehind(key) && !kept(keep, key) }
	for {
		keys, err := w.Group(ctx, old, "")
		if err != nil {
			return deleted, err
		}
		if len(keys) == 0 {
			return deleted, nil
		}
		n, err := s.deleteKeys(ctx, keys)
		deleted += n
		if err != nil {
			return deleted, failure.Storage("delete what is left of the former cluster", err)
		}
	}
}

// leftBehind says whether a key is of the cluster as it was before.
func (s *secondary) leftBehind(key string) bool {
	if strings.HasPrefix(key, vaultname.Replication) || strings.HasPrefix(key, "replication/") {
		return false
	}
	switch class := s.below.Classes().Class(key); {
	case class == keyclass.Own || keyclass.InMode(class, s.mode):
		return false
	case class == keyclass.Unknown && keyclass.InView(key):
		// A mount of the new cluster whose backend is not known may hold what the
		// primary has sent.
		return s.below.Classes().Orphan(key)
	default:
		return true
	}
}

func kept(keep []string, key string) bool {
	return slices.ContainsFunc(keep, func(k string) bool {
		return k == key || (strings.HasSuffix(k, "/") && strings.HasPrefix(key, k))
	})
}

// ClearView deletes everything below a view (its prefix ends with a slash), past the
// guard: what a performance secondary has of a mount that is gone, or that its paths
// filter hides. It is journalled, for this cluster's own DR secondaries. After an
// error it is called again and goes on with what is left.
func (wp *writePath) ClearView(ctx context.Context, prefix string) (deleted uint64, err error) {
	if view, _, ok := keyclass.SplitView(prefix); !ok || view != prefix {
		return 0, replication.Errorf(replication.InvalidInput, "%q is no view of a mount, so nothing below it is deleted", prefix)
	}
	w, err := walk.Below(ctx, wp.below.Inner, prefix)
	if err != nil {
		return 0, err
	}
	for {
		keys, err := w.Group(ctx, func(string) bool { return true }, "")
		if err != nil || len(keys) == 0 {
			return deleted, err
		}
		n, err := wp.deleteKeys(ctx, keys)
		deleted += n
		if err != nil {
			return deleted, failure.Storage("delete what a mount has left", err)
		}
	}
}

// deleteKeys deletes keys in transactions, past the guard.
func (wp *writePath) deleteKeys(ctx context.Context, keys []string) (deleted uint64, err error) {
	writes := make([]*physical.TxnEntry, len(keys))
	for i, key := range keys {
		writes[i] = txn.Delete(key)
	}
	r := wp.enter()
	defer r.leave()
	for _, piece := range wp.below.Split(writes) {
		if err := wp.commit(ctx, r, piece, txn.Options{}); err != nil {
			return deleted, err
		}
		deleted += uint64(len(piece))
	}
	return deleted, nil
}
