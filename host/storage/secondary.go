// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// modes are all modes of replication.
var modes = []replication.Mode{replication.DR, replication.Performance}

// secondary is what a secondary of one mode does: it applies frames and ranges, compares,
// and says how far it is.
//
// applying is the turn of who applies. It guards from and target of the debt, diff and
// refetch, and is taken before every other lock. The locks of progress, verifier and debt
// are inside it; verifier.mu is held while the cursor is written, the others only for a
// moment. telling is taken inside applying.
type secondary struct {
	*writePath
	*duty
	indexes fingerprints
	mode    replication.Mode

	applying turns
	forced   atomic.Bool // ForceCopyApplied was called in the apply under way
	debt     debt
	progress progress
	verifier verifier
	diff     *diff
	refetch  refetch
	applies  *walkers // walks of ApplyRange
}

// fingerprints is what a secondary asks of the indexes.
type fingerprints interface {
	Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64)
}

// duty is that of this node, for all modes.
type duty struct {
	ctx     atomic.Pointer[context.Context]
	telling sync.Mutex // one call of Observer.Applied at a time
}

func (d *duty) onDuty() context.Context { return *d.ctx.Load() }
