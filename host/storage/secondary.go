// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// modes are all modes of replication.
var modes = []replication.Mode{replication.DR, replication.Performance}

// secondary is what a secondary of one mode does. What it applies is applied as applier
// says, and compared as comparison says. It holds the turn of debt.applying meanwhile.
type secondary struct {
	*comparison
	forced  atomic.Bool // ForceCopyApplied was called in the apply under way
	applies *walk.Walks // walks of ApplyRange
}

// applier makes what a primary has written durable, in transactions, with the cursor, and
// sets aside what the storage refuses. It has no state.
type applier struct{ *debt }

// comparison finds what differs from the primary, and what is missing. diff and refetch
// are guarded by debt.applying; verifier has a lock, which is inside that and is held
// while the cursor is written.
type comparison struct {
	*applier
	indexes  fingerprints
	verifier verifier
	diff     *diff
	refetch  refetch
}

func newSecondary(w *writePath, d *duty, mode replication.Mode, x fingerprints) *secondary {
	debt := &debt{writePath: w, duty: d, mode: mode, applying: make(lock.Turns, 1)}
	return &secondary{comparison: &comparison{applier: &applier{debt}, indexes: x}, applies: walk.NewWalks()}
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
