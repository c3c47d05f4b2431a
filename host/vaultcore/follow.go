// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/mounttable"
	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// WrapBackend wraps the backend of a mount before the mount can be reached.
type WrapBackend func(*vault.MountEntry, logical.Backend) logical.Backend

// Live changes a core that is running so that it has what was applied below it.
// It is what package follow calls; its methods are not for concurrent use with
// each other, and want the core's state held (see [Live.Hold]).
type Live struct {
	core *Core
	wrap WrapBackend
	// clear deletes what is stored below a prefix.
	clear func(ctx context.Context, prefix string) error
	wait  sync.WaitGroup // backends that are cleaned up when their requests are done
}

// Live is the running core. Clear deletes what is stored below a view's prefix, which
// the core itself may not where the primary has written it. wrap may be nil.
func (c *Core) Live(wrap WrapBackend, clear func(ctx context.Context, prefix string) error) *Live {
	if wrap == nil {
		wrap = func(_ *vault.MountEntry, b logical.Backend) logical.Backend { return b }
	}
	return &Live{core: c, wrap: wrap, clear: clear}
}

var errNotActive = errors.New("the node is not active")

// Hold keeps the core from being sealed, or from stepping down, until release is
// called. It gives up when ctx ends: a seal that waits for whoever calls this
// cancels ctx first.
func (l *Live) Hold(ctx context.Context) (release func(), err error) {
	lock := *pinned.Field[locking.RWMutex](l.core.Core, "stateLock")
	if try, ok := lock.(interface{ TryRLock() bool }); !ok || !try.TryRLock() {
		if err := readLock(ctx, lock); err != nil {
			return nil, err
		}
	}
	// A standby has no mounts.
	if l.core.Sealed() || *pinned.Field[*vault.MountTable](l.core.Core, "mounts") == nil {
		lock.RUnlock()
		return nil, errNotActive
	}
	return lock.RUnlock, nil
}

// readLock takes a lock unless ctx ends before; then the lock is given back by
// whoever gets it.
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
func (l *Live) active() context.Context {
	return root(*pinned.Field[context.Context](l.core.Core, "activeContext"))
}

// tableOf is the running table and its lock.
func (l *Live) tableOf(table string) (**vault.MountTable, rwLocker) {
	switch table {
	case vaultname.Auth:
		return pinned.Field[*vault.MountTable](l.core.Core, "auth"), *pinned.Field[locking.RWMutex](l.core.Core, "authLock")
	case vaultname.Audit:
		return pinned.Field[*vault.MountTable](l.core.Core, "audit"), pinned.Field[sync.RWMutex](l.core.Core, "auditLock")
	default:
		return pinned.Field[*vault.MountTable](l.core.Core, "mounts"), *pinned.Field[locking.RWMutex](l.core.Core, "mountsLock")
	}
}

type rwLocker interface {
	Lock()
	Unlock()
	RLock()
	RUnlock()
}

// Stored is a table as it is stored.
func (l *Live) Stored(ctx context.Context, table string) ([]mounttable.Entry, error) {
	raw, err := l.core.GetEntry(ctx, table)
	if err != nil {
		return nil, fmt.Errorf("read of the table %s: %w", table, err)
	}
	return mounttable.Decode(raw)
}

// Running is a table as the core runs it, local mounts included; none while the
// core is sealed.
func (l *Live) Running(table string) ([]mounttable.Entry, error) {
	slot, lock := l.tableOf(table)
	lock.RLock()
	defer lock.RUnlock()
	if *slot == nil {
		return nil, nil
	}
	raw, err := json.Marshal(*slot)
	if err != nil {
		return nil, fmt.Errorf("encoding of the running table %s: %w", table, err)
	}
	return mounttable.Decode(raw)
}

// entry is the running entry with a UUID.
func (l *Live) entry(table, uuid string) (*vault.MountEntry, error) {
	slot, lock := l.tableOf(table)
	lock.RLock()
	defer lock.RUnlock()
	if *slot != nil {
		for _, e := range (*slot).Entries {
			if e.UUID == uuid {
				return e, nil
			}
		}
	}
	return nil, fmt.Errorf("there is no mount %s in the table %s", uuid, table)
}

// decode is an entry as Vault has it, with its namespace.
func (l *Live) decode(ctx context.Context, e mounttable.Entry) (*vault.MountEntry, error) {
	raw, err := json.Marshal(map[string]any{"entries": []json.RawMessage{e.Raw}})
	if err != nil {
		return nil, err
	}
	t, err := l.core.DecodeMountTable(ctx, raw)
	if err != nil {
		return nil, err
	}
	if len(t.Entries) != 1 {
		return nil, fmt.Errorf("the mount %s is in a namespace that this Vault does not have", e.Path)
	}
	return t.Entries[0], nil
}

// add and remove swap a table for a copy with or without an entry, as Vault does:
// whoever reads the old one goes on with it.
func (l *Live) add(table string, e *vault.MountEntry) {
	slot, lock := l.tableOf(table)
	lock.Lock()
	defer lock.Unlock()
	l.swap(slot, e.UUID, e)
}

func (l *Live) remove(table, uuid string) {
	slot, lock := l.tableOf(table)
	lock.Lock()
	defer lock.Unlock()
	l.swap(slot, uuid, nil)
}

func (l *Live) swap(slot **vault.MountTable, uuid string, with *vault.MountEntry) {
	old := *slot
	if old == nil {
		return
	}
	next := &vault.MountTable{Type: old.Type}
	for _, e := range old.Entries {
		if e.UUID != uuid {
			next.Entries = append(next.Entries, e)
		}
	}
	if with != nil {
		next.Entries = append(next.Entries, with)
	}
	*slot = next
}

// broker is the audit broker.
func (l *Live) broker() *audit.Broker {
	return *pinned.Field[*audit.Broker](l.core.Core, "auditBroker")
}
