// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// StoredIndexes are the rows without which no index that is stored counts.
func (t *Tap) StoredIndexes(ctx context.Context) (heads []string, err error) {
	for mode := range indexPrefixes {
		homes, err := t.homes(ctx, mode)
		if err != nil {
			return nil, err
		}
		for _, home := range homes {
			heads = append(heads, fingerprint.HeadOf(home))
		}
	}
	return heads, nil
}

// LoseIndexes is what is done about the rows of a deposed leader.
func (t *Tap) LoseIndexes(ctx context.Context) error {
	r := t.regime.Load()
	r.invalidate()
	return t.unstoreLost(ctx, r)
}

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
