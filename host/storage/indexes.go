// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// indexes are the indexes of what is replicated: one runs for each mode that the regime
// has, and each is stored. See print for the state of one that runs.
//
// They begin and end under writePath.control. The locks inside are held for a moment; the
// turn of print.stored is held while rows are written, and no stripe is waited for under
// it.
type indexes struct {
	*writePath
	// copying says whether a copy of a mode is under way.
	copying    func(replication.Mode) bool
	storeAfter time.Duration
	// settled are the classes of keys of mounts that the indexes count by.
	settled atomic.Pointer[[32]byte]
	// unwatched is true for a mode whose index may be in storage while no index of that
	// mode runs and keeps it up to date: see beheadUnwatched.
	unwatched map[replication.Mode]*atomic.Bool
}

// rest ends storing, and waits for it until the context ends.
func (x *indexes) rest(ctx context.Context, r *regime) {
	for _, mode := range modes {
		x.mayBeStored(mode) // by the node that leads next
	}
	for _, p := range r.prints {
		p.rest(ctx)
	}
}
