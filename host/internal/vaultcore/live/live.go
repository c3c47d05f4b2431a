// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
)

// WrapBackend wraps the backend of a mount before the mount can be reached.
type WrapBackend func(*vault.MountEntry, logical.Backend) logical.Backend

// Live makes a running core have what was applied to its storage. Package follow calls it.
// Unless a method says otherwise, one runs at a time, while the core's state is held with
// [Live.Hold].
type Live struct {
	running
	*Mounts
	Leases
	Audit
	Caches
}

// running is a core.
type running struct {
	core *vault.Core
	// storage is the core's barrier. Stored is the same without the filter of mount tables.
	storage vault.SecurityBarrier
	stored  logical.Storage
}

// Mounts are the tables of mounts and what is mounted.
type Mounts struct {
	tables
	wrap WrapBackend
	// clear deletes what is stored below a prefix.
	clear func(ctx context.Context, prefix string) error
	wait  sync.WaitGroup // backends that are cleaned up when their requests are done
}

// tables are the tables of mounts and audit devices that a core runs.
type tables struct{ running }

// Leases are those that this cluster has given out.
type Leases struct{ running }

// Audit are the audit devices.
type Audit struct{ running }

// Caches are what a core keeps in memory of shared storage.
type Caches struct{ running }

// New is the running core. Storage is its barrier; stored is the same without the filter
// of mount tables. Clear deletes everything below a view's prefix: the core itself must not
// delete what the primary has written. Wrap may be nil.
func New(core *vault.Core, storage vault.SecurityBarrier, stored logical.Storage, wrap WrapBackend,
	clear func(ctx context.Context, prefix string) error) *Live {
	if wrap == nil {
		wrap = func(_ *vault.MountEntry, b logical.Backend) logical.Backend { return b }
	}
	r := running{core, storage, stored}
	return &Live{r, &Mounts{tables: tables{r}, wrap: wrap, clear: clear}, Leases{r}, Audit{r}, Caches{r}}
}

// Wait waits for backends that are cleaned up.
func (l *Live) Wait() { l.wait.Wait() }

// get reads a record.
func (l running) get(ctx context.Context, key string) ([]byte, error) {
	e, err := l.stored.Get(ctx, key)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Value, nil
}

func (l running) router() routes.Router { return routes.Of(l.core).Router() }

var errNotActive = errors.New("the node is not active")

// Hold keeps the core from being sealed and from stepping down until release is called. It
// gives up when ctx ends: a seal cancels the contexts of those that it waits for.
func (l running) Hold(ctx context.Context) (release func(), err error) {
	lock := *pinned.Field[locking.RWMutex](l.core, "stateLock")
	if try, ok := lock.(interface{ TryRLock() bool }); !ok || !try.TryRLock() {
		if err := readLock(ctx, lock); err != nil {
			return nil, err
		}
	}
	// A standby has no mounts.
	if l.core.Sealed() || *pinned.Field[*vault.MountTable](l.core, "mounts") == nil {
		lock.RUnlock()
		return nil, errNotActive
	}
	return lock.RUnlock, nil
}

// readLock takes a lock for reading, unless ctx ends before. A lock that comes too late is
// given back.
func readLock(ctx context.Context, lock locking.RWMutex) error {
	const waiting, taken, left = 0, 1, 2
	var state atomic.Int32
	got := make(chan struct{})
	go func() {
		lock.RLock()
		if !state.CompareAndSwap(waiting, taken) {
			lock.RUnlock()
			return
		}
		close(got)
	}()
	select {
	case <-got:
		return nil
	case <-ctx.Done():
		if state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
		return nil
	}
}

// root is ctx in the root namespace, the only one that there is.
func root(ctx context.Context) context.Context { return namespace.RootContext(ctx) }

// active is the context that lives as long as the active duty: backends keep the
// one that they are built with.
func (l running) active() context.Context {
	return root(*pinned.Field[context.Context](l.core, "activeContext"))
}
