// SPDX-License-Identifier: MPL-2.0

package mounts

import (
	"sync"

	"github.com/hashicorp/vault/vault"
)

// taints knows which mounts are tainted in the tables. Vault taints a mount before it revokes its leases and deletes
// it.
type taints struct {
	mu    sync.Mutex
	known map[string]map[string]bool // by table, the UUIDs
	fresh map[string]bool            // tables with mounts that were not tainted before
}

// learn takes up a table.
func (t *taints) learn(key string, table *vault.MountTable) {
	now := map[string]bool{}
	if table != nil {
		for _, e := range table.Entries {
			if e.Tainted {
				now[e.UUID] = true
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known, t.fresh = map[string]map[string]bool{}, map[string]bool{}
	}
	before := t.known[key]
	t.known[key] = now
	t.fresh[key] = false
	for uuid := range now {
		t.fresh[key] = t.fresh[key] || !before[uuid]
	}
}

// take says, once, whether the last learnt version of a table tainted a mount.
func (t *taints) take(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.fresh[key]
	delete(t.fresh, key)
	return fresh
}
