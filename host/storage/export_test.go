// SPDX-License-Identifier: MPL-2.0

package storage

import "github.com/vault-replication/vault-replication/shared/replication"

// Differences is how often in a row a secondary was seen to differ.
func (t *Tap) Differences(mode replication.Mode) int {
	v := t.verifiers[mode]
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.differs
}

// DiffersMin is how often a difference is seen until it is acted on.
const DiffersMin = differsMin

// Gathering is how many writes wait to be stored together with others.
func (t *Tap) Gathering() int {
	g := &t.regime.Load().gathering
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
