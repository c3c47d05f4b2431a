// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// WipeLocal deletes what a new secondary has left of its former cluster: tokens, leases, local tables and every other
// key that is not Own and not replicated in the mode. These are encrypted with keys that are gone. Views that no mount
// table has are of the former cluster too, so in performance mode all tables must be known. WipeLocal keeps the records
// of replication, and the keys and prefixes (with a slash at the end) that the caller names: local tables that were
// made for the new role.
//
// The deletions pass the guard and are journalled for this cluster's own DR secondaries. After an error call it again;
// it goes on with what is left. It must end before the core reads or writes anything local. It returns how many keys it
// has deleted.
func (s *Secondary) WipeLocal(ctx context.Context, keep ...string) (deleted uint64, err error) {
	if m := s.below.Classes().Mounts(); keyclass.ByMount(s.mode) && (m == nil || !m.Complete()) {
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
		n, err := s.writes.DeleteKeys(ctx, keys)
		deleted += n
		if err != nil {
			return deleted, failure.Storage("delete what is left of the former cluster", err)
		}
	}
}

// leftBehind says whether a key is of the former cluster.
func (s *Secondary) leftBehind(key string) bool {
	if strings.HasPrefix(key, vaultname.Replication) || strings.HasPrefix(key, "replication/") {
		return false
	}
	switch class := s.below.Classes().Class(key); {
	case class == keyclass.Own || keyclass.InMode(class, s.mode):
		return false
	case class == keyclass.Unknown && keyclass.InView(key):
		// A mount of the new cluster with an unknown backend may have keys that the primary has sent.
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
