// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// tableOf is the running table and its lock.
func (l tables) tableOf(table string) (**vault.MountTable, rwLocker) {
	switch table {
	case vaultname.Auth:
		return pinned.Field[*vault.MountTable](l.core, "auth"), *pinned.Field[locking.RWMutex](l.core, "authLock")
	case vaultname.Audit:
		return pinned.Field[*vault.MountTable](l.core, "audit"), pinned.Field[sync.RWMutex](l.core, "auditLock")
	default:
		return pinned.Field[*vault.MountTable](l.core, "mounts"), *pinned.Field[locking.RWMutex](l.core, "mountsLock")
	}
}

type rwLocker interface {
	Lock()
	Unlock()
	RLock()
	RUnlock()
}

// Stored is a table as it is stored.
func (l tables) Stored(ctx context.Context, table string) ([]mounttable.Entry, error) {
	raw, err := l.get(ctx, table)
	if err != nil {
		return nil, fmt.Errorf("read of the table %s: %w", table, err)
	}
	return mounttable.Decode(raw)
}

// Running is a table as the core runs it, local mounts included; none while the
// core is sealed.
func (l tables) Running(table string) ([]mounttable.Entry, error) {
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
func (l tables) entry(table, uuid string) (*vault.MountEntry, error) {
	for _, e := range l.entries(table) {
		if e.UUID == uuid {
			return e, nil
		}
	}
	return nil, fmt.Errorf("there is no mount %s in the table %s", uuid, table)
}

// decode is an entry as Vault has it, with its namespace.
func (l running) decode(ctx context.Context, e mounttable.Entry) (*vault.MountEntry, error) {
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

// swap swaps a table for a copy without an entry, or with another one in its place, as Vault does:
// whoever reads the old table goes on with it.
func (l tables) swap(table, uuid string, with *vault.MountEntry) {
	slot, lock := l.tableOf(table)
	lock.Lock()
	defer lock.Unlock()
	old := *slot
	if old == nil {
		return
	}
	next := &vault.MountTable{Type: old.Type, Entries: slices.DeleteFunc(slices.Clone(old.Entries),
		func(e *vault.MountEntry) bool { return e.UUID == uuid })}
	if with != nil {
		next.Entries = append(next.Entries, with)
	}
	*slot = next
}

// entries are those of a running table.
func (l tables) entries(table string) []*vault.MountEntry {
	slot, lock := l.tableOf(table)
	lock.RLock()
	defer lock.RUnlock()
	if *slot == nil {
		return nil
	}
	return slices.Clone((*slot).Entries)
}

// Idle are the mounts that have no backend.
func (l tables) Idle(table string) ([]mounttable.Entry, error) {
	running, err := l.Running(table)
	if err != nil {
		return nil, err
	}
	var idle []mounttable.Entry
	for _, e := range running {
		r, ok := l.router().At(vaultname.RequestPath(table, e.Path))
		if !ok {
			continue
		}
		r.Lock().RLock()
		if *r.Backend() == nil {
			idle = append(idle, e)
		}
		r.Lock().RUnlock()
	}
	return idle, nil
}
