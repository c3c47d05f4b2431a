// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/quotas"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// movedQuotas stores the quotas of a core. When a mount is moved, Vault changes its rate
// limits in memory and stores them as they were: the cluster that moved it would enforce
// another limit than all that read it from storage, and than itself after a restart.
type movedQuotas struct {
	logical.Storage
	core *vault.Core
}

// storeMovedQuotas puts it in, once the core has set its quotas up.
func storeMovedQuotas(core *vault.Core) {
	m := *pinned.Field[*quotas.Manager](core, "quotaManager")
	if m == nil {
		return
	}
	if slot := pinned.Field[logical.Storage](m, "storage"); *slot != nil {
		*slot = movedQuotas{*slot, core}
	}
}

// Put stores a rate limit on a mount that is being moved at its new path.
func (q movedQuotas) Put(ctx context.Context, e *logical.StorageEntry) error {
	if !strings.HasPrefix(e.Key, quotas.StoragePrefix+quotas.TypeRateLimit.String()+"/") {
		return q.Storage.Put(ctx, e)
	}
	var quota quotas.RateLimitQuota
	if err := e.DecodeJSON(&quota); err != nil {
		return fmt.Errorf("the quota %s cannot be read: %w", e.Key, err)
	}
	to, moves := q.movesTo(quota.MountPath)
	if !moves {
		return q.Storage.Put(ctx, e)
	}
	quota.MountPath = to
	moved, err := logical.StorageEntryJSON(e.Key, &quota)
	if err != nil {
		return err
	}
	return q.Storage.Put(ctx, moved)
}

// movesTo is where the mount of a path is moved to at this moment.
func (q movedQuotas) movesTo(path string) (to string, moves bool) {
	(*pinned.Field[*sync.Map](q.core, "mountMigrationTracker")).Range(func(_, v any) bool {
		m, ok := v.(vault.MountMigrationInfo)
		if ok && m.SourceMount == path && m.MigrationStatus == vault.MigrationStatusInProgress.String() {
			to, moves = m.TargetMount, true
		}
		return !moves
	})
	return to, moves
}
