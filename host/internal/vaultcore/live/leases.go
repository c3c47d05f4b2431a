// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

const (
	// leasesAtOnce is how many leases are revoked at a time. The primary waits a bounded time
	// before it deletes what the engine needs for that, and most of the time that a
	// revocation takes is on the way, to the primary or to what the engine manages.
	leasesAtOnce = 64
	// oneLease bounds the revoking of one lease that Vault has given up, as Vault does.
	oneLease = time.Minute
)

// RevokeLeases revokes the leases that this cluster has given out under the path of a
// mount. The mount does it, so it must still have its configuration. Each lease is tried,
// whatever becomes of the others.
func (l Leases) RevokeLeases(ctx context.Context, table string, e mounttable.Entry) error {
	failed, total, err := l.eachLease(ctx, table, e, (*vault.ExpirationManager).Revoke)
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be revoked: %w", failed, total, err)
	}
	return err
}

// ForgetLeases leaves no lease under the path of a mount, which may be gone. It revokes
// those that can be revoked, and says how many could not. A lease stays if its time ended, or if later says of its
// error that it may be revoked another time.
func (l Leases) ForgetLeases(ctx context.Context, table string, e mounttable.Entry, later func(error) bool) (
	orphans int, err error) {
	var mu sync.Mutex
	failed, total, err := l.eachLease(ctx, table, e, func(leases *vault.ExpirationManager, ctx context.Context,
		id string) error {
		err := leases.Revoke(ctx, id)
		if err == nil || ctx.Err() != nil || later(err) {
			return err
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

// eachLease calls do for all leases under the path of a mount. It returns how many failed
// and the last error. With none failed, the error says that they could not be listed.
func (l Leases) eachLease(ctx context.Context, table string, e mounttable.Entry,
	do func(*vault.ExpirationManager, context.Context, string) error) (failed, total int, err error) {
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
	var mu sync.Mutex
	var workers errgroup.Group
	workers.SetLimit(leasesAtOnce)
	for _, name := range names {
		workers.Go(func() error {
			if one := do(leases, ctx, path+name); one != nil {
				mu.Lock()
				failed, err = failed+1, one
				mu.Unlock()
			}
			return nil
		})
	}
	_ = workers.Wait()
	return failed, len(names), err
}

// RevokeGivenUp revokes leases that Vault has given up and tries once a day at most. Wanted
// chooses among them by what Vault has noted as the reason. Once ends says so of an error,
// no further one begins. It holds the core's state by itself, for each lease.
func (l Leases) RevokeGivenUp(ctx context.Context, wanted func(id, reason string) bool,
	ends func(error) bool) (revoked int, failed map[string]error, err error) {
	var ids []string
	err = l.withLeases(ctx, func(leases *vault.ExpirationManager) error {
		pinned.Field[sync.Map](leases, "irrevocable").Range(func(key, lease any) bool {
			id, _ := key.(string)
			if wanted(id, reflect.ValueOf(lease).Elem().FieldByName("RevokeErr").String()) {
				ids = append(ids, id)
			}
			return true
		})
		return nil
	})
	failed = map[string]error{}
	var mu sync.Mutex
	var ended atomic.Bool
	var workers errgroup.Group
	workers.SetLimit(leasesAtOnce)
	for _, id := range ids {
		workers.Go(func() error {
			if ended.Load() {
				return nil
			}
			ctx, cancel := context.WithTimeout(root(ctx), oneLease)
			defer cancel()
			one := l.withLeases(ctx, func(leases *vault.ExpirationManager) error { return leases.Revoke(ctx, id) })
			mu.Lock()
			defer mu.Unlock()
			if one == nil {
				revoked++
				return nil
			}
			failed[id] = one
			ended.Store(ended.Load() || ends(one))
			return nil
		})
	}
	_ = workers.Wait()
	return revoked, failed, err
}

// withLeases runs f on an active node.
func (l Leases) withLeases(ctx context.Context, f func(*vault.ExpirationManager) error) error {
	release, err := l.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	leases := *pinned.Field[*vault.ExpirationManager](l.core, "expiration")
	if leases == nil {
		return errNotActive
	}
	return f(leases)
}
