// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// leasesAtOnce is how many leases of a mount are revoked at a time: the primary
// waits for all of them before it deletes what the engine needs for that.
const leasesAtOnce = 8

// RevokeLeases revokes what this cluster has given out under the path of a mount.
// It goes through the mount, which must have its configuration yet. One that cannot
// be revoked does not keep the others from it.
func (l Leases) RevokeLeases(ctx context.Context, table string, e mounttable.Entry) error {
	failed, total, err := l.eachLease(ctx, table, e, (*vault.ExpirationManager).Revoke)
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be revoked: %w", failed, total, err)
	}
	return err
}

// ForgetLeases leaves no lease under the path of a mount, which may be gone. It
// revokes them if it can, and says of how many it could not.
func (l Leases) ForgetLeases(ctx context.Context, table string, e mounttable.Entry) (orphans int, err error) {
	var mu sync.Mutex
	failed, total, err := l.eachLease(ctx, table, e, func(leases *vault.ExpirationManager, ctx context.Context, id string) error {
		if leases.Revoke(ctx, id) == nil {
			return nil
		}
		if err := leases.RevokeForce(ctx, id); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		orphans++
		return nil
	})
	if failed > 0 {
		return orphans, fmt.Errorf("%d of %d could not be forgotten: %w", failed, total, err)
	}
	return orphans, err
}

// eachLease calls do for all leases under the path of a mount, whatever becomes of
// the others, and returns the last error. Without a lease that has failed the error
// is of their list.
func (l Leases) eachLease(ctx context.Context, table string, e mounttable.Entry, do func(*vault.ExpirationManager, context.Context, string) error) (failed, total int, err error) {
	leases := *pinned.Field[*vault.ExpirationManager](l.core, "expiration")
	if leases == nil {
		return 0, 0, errNotActive
	}
	ctx = root(ctx)
	path := vaultname.RequestPath(table, e.Path)
	names, err := logical.CollectKeys(ctx, vault.NewBarrierView(l.storage, vaultname.Leases+path))
	if err != nil {
		return 0, 0, fmt.Errorf("the leases of %s cannot be listed: %w", path, err)
	}
	ids := make(chan string)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(leasesAtOnce, len(names)) {
		workers.Go(func() {
			for id := range ids {
				one := do(leases, ctx, id)
				mu.Lock()
				if one != nil {
					failed, err = failed+1, one
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		ids <- path + name
	}
	close(ids)
	workers.Wait()
	return failed, len(names), err
}
