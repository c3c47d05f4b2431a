// SPDX-License-Identifier: MPL-2.0

package index

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// State is the state of the index of a mode.
type State struct {
	// Rebuilding says that everything is being read: Read of about Total keys so far.
	Rebuilding  bool
	Read, Total uint64
	// Rebuilt is when the index was last computed anew, Checked when it was last compared with the storage, zero for
	// never. Wrong says whether that comparison found a difference.
	Rebuilt, Checked time.Time
	Wrong            bool
}

// Report is the result of a check.
type Report struct {
	// Root is the fingerprint of the content of the storage.
	Root replication.Fingerprint
	// Wrong says that the index differed. Ranges are the numbers of the ranges that differed, in key order.
	Wrong  bool
	Ranges []int
}

// State is the state of the index of a mode; zero while this node keeps none.
func (x *Indexes) State(mode replication.Mode) State {
	p := x.writes.Running()[mode]
	if p == nil {
		return State{}
	}
	p.indexing.mu.Lock()
	defer p.indexing.mu.Unlock()
	i := &p.indexing
	return State{Rebuilding: i.rebuilding, Read: i.read, Total: i.total, Rebuilt: i.rebuilt, Checked: i.checked,
		Wrong: i.wrong}
}

// Reindex has the index of a mode computed anew from the storage, in the background. The old one serves until then,
// unless forget is set. The error is InvalidInput while one is computed already.
func (x *Indexes) Reindex(mode replication.Mode, forget bool) error {
	p, err := x.running(mode)
	if err != nil {
		return err
	}
	if s := x.State(mode); s.Rebuilding {
		return replication.Errorf(replication.InvalidInput, "the index of %s replication is being computed already: %d of "+
			"about %d keys were read", mode, s.Read, s.Total)
	}
	if forget {
		p.Invalidate()
	} else {
		signal(p.unknown)
	}
	return nil
}

// Check reads the storage once and compares the index of a mode with it. Where they differ, the index is corrected.
func (x *Indexes) Check(ctx context.Context, mode replication.Mode) (*Report, error) {
	p, err := x.running(mode)
	if err != nil {
		return nil, err
	}
	if err := p.index.Wait(ctx); err != nil {
		return nil, err
	}
	r, done, err := p.pass(ctx, nil)
	if err != nil {
		return nil, err
	}
	if !done {
		return nil, replication.Errorf(replication.Unavailable, "the index of %s replication is computed anew just now: "+
			"check it again in a moment", mode)
	}
	p.checked(r.Wrong)
	r.Root, _ = x.Fingerprint(mode)
	return r, nil
}

func (x *Indexes) running(mode replication.Mode) (*Index, error) {
	if err := failure.Mode(mode); err != nil {
		return nil, err
	}
	if p := x.writes.Running()[mode]; p != nil {
		return p, nil
	}
	return nil, replication.Errorf(replication.Unavailable, "this node keeps no index of %s replication: it is not the "+
		"active node of a cluster that replicates", mode)
}
