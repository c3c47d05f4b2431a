// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// roles knows the roles in force on this node, and whether the node is active.
type roles struct {
	// bootstrapping says that this cluster is a performance secondary whose first copy has not ended, so it serves
	// nothing.
	bootstrapping atomic.Bool
	// forwarded is the latest position in an answer of the performance primary.
	forwarded atomic.Pointer[replication.Position]

	mu     sync.RWMutex
	record *Record
	// duty is the context of the active duty, nil while there is none.
	duty context.Context
	// failures says, for each mode, why the last change in the background failed.
	failures map[replication.Mode]string
}

// put puts a record in force.
func (rs *roles) put(r *Record) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.record = r
}

// beginDuty says that the node is active until the context ends, or endDuty is called.
func (rs *roles) beginDuty(duty context.Context) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.duty = duty
}

func (rs *roles) endDuty() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.duty = nil
}

// Record is a copy of the present roles.
func (rs *roles) Record() *Record {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.record.clone()
}

// Role is the present role in a mode.
func (rs *roles) Role(mode replication.Mode) replication.Role {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.record.mode(mode).Role
}

// follows says whether the cluster is a secondary in any mode.
func (rs *roles) follows() bool {
	return rs.Record().is(replication.Secondary)
}

// speaks says whether this cluster writes the shared content of its set.
func (rs *roles) speaks() bool {
	r := rs.Record()
	return r.is(replication.Primary) && !r.is(replication.Secondary)
}

// servesNothing says whether the node serves nothing but its own endpoints.
func (rs *roles) servesNothing() bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.record.servesNothing()
}

// isPrimary says whether this cluster is a primary in any mode.
func (rs *roles) isPrimary() bool {
	return rs.Record().is(replication.Primary)
}

// active is the context of the active duty, or an error that says there is none.
func (rs *roles) active() (context.Context, error) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	if rs.duty == nil {
		return nil, replication.Errorf(replication.Unavailable, "this node is not active: try again on the active node")
	}
	return rs.duty, nil
}

// Serves says whether this cluster is a performance secondary that serves clients.
func (rs *roles) Serves() bool {
	return rs.Role(ofClients) == replication.Secondary && !rs.bootstrapping.Load()
}

// Inert says whether the engines of this cluster are inert now.
func (rs *roles) Inert() bool { return rs.bootstrapping.Load() || rs.servesNothing() }

// setFailure notes what went wrong in a change, for the status; empty for nothing.
func (rs *roles) setFailure(mode replication.Mode, text string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.failures == nil {
		rs.failures = map[replication.Mode]string{}
	}
	rs.failures[mode] = text
}

func (rs *roles) failure(mode replication.Mode) string {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.failures[mode]
}

// own is how the set calls this cluster.
func (rs *roles) own(mode replication.Mode) relations.Own {
	mr := rs.Record().mode(mode)
	return relations.Own{SetID: mr.SetID, SecondaryID: mr.SecondaryID, Pairing: mr.Pairing}
}

// noteForwarded notes a position that an answer of the primary has named.
func (rs *roles) noteForwarded(at replication.Position) {
	for {
		old := rs.forwarded.Load()
		if old != nil && !later(at, *old) || rs.forwarded.CompareAndSwap(old, &at) {
			return
		}
	}
}

// later says whether a position is later than another one. Sequences of two epochs cannot be compared.
func later(a, b replication.Position) bool {
	if a.Epoch != b.Epoch {
		return a.Epoch.Generation > b.Epoch.Generation
	}
	return a.Sequence > b.Sequence
}
