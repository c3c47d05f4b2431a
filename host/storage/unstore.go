// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// homes are the directories of the indexes of a mode that are stored.
func (x *indexes) homes(ctx context.Context, mode replication.Mode) (homes []string, err error) {
	prefix := indexPrefixes[mode]
	names, err := x.below.Inner.List(ctx, prefix)
	if err != nil {
		return nil, failure.Storage("list the stored index", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			homes = append(homes, prefix+name)
		}
	}
	return homes, nil
}

// behead makes what is stored below directories count no more.
func (x *indexes) behead(ctx context.Context, homes []string) error {
	for _, home := range homes {
		if err := x.below.Inner.Delete(ctx, fingerprint.HeadOf(home)); err != nil {
			return failure.Storage("delete a stored index", err)
		}
	}
	return nil
}

// beheadUnwatched makes stored indexes count no more that no running one looks after,
// before keys that they have counted are written: by a core that leads and has not begun
// its term, or one that has no role any more.
func (x *indexes) beheadUnwatched(ctx context.Context, r *regime, writes []*physical.TxnEntry) error {
	for mode, may := range x.unwatched {
		if r.prints[mode] != nil || !may.Load() || !x.countsIn(mode, writes) {
			continue
		}
		homes, err := x.homes(ctx, mode)
		if err != nil {
			return err
		}
		if err := x.behead(ctx, homes); err != nil {
			return err
		}
		may.Store(false)
	}
	return nil
}

// countsIn says whether a write is one of a key that an index of a mode may have counted.
func (x *indexes) countsIn(mode replication.Mode, writes []*physical.TxnEntry) bool {
	return slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
		if e.Operation == physical.GetOperation {
			return false
		}
		class := x.below.Classes().Class(e.Entry.Key)
		return inMode(class, mode) || (class == keyclass.Unknown && keyclass.InView(e.Entry.Key))
	})
}

// mayBeStored says that an index of a mode may be stored that no running one looks after.
func (x *indexes) mayBeStored(mode replication.Mode) { x.unwatched[mode].Store(true) }

// unstore deletes the heads of what does not count any more.
func (p *print) unstore(ctx context.Context) error {
	for _, head := range p.index.Heads() {
		if err := p.in.below.Inner.Delete(ctx, head); err != nil {
			return failure.Storage("delete a stored index", err)
		}
		p.index.Headless(head)
	}
	return nil
}

// unstoreLost deletes what is stored of indexes that were invalidated because it is wrong.
func (x *indexes) unstoreLost(ctx context.Context, r *regime) error {
	for _, p := range r.prints {
		if err := p.unstore(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deleteStored deletes the rows of a directory, the head first.
func (x *indexes) deleteStored(ctx context.Context, home string) error {
	names, err := x.below.Inner.List(ctx, home)
	if err != nil {
		return failure.Storage("list a stored index", err)
	}
	head := fingerprint.HeadOf(home)
	if err := x.below.Inner.Delete(ctx, head); err != nil {
		return failure.Storage("delete a stored index", err)
	}
	var writes []*physical.TxnEntry
	for _, name := range names {
		if key := home + name; key != head {
			writes = append(writes, txn.Delete(key))
		}
	}
	if err := x.below.StoreSplit(ctx, writes); err != nil {
		return failure.Storage("delete a stored index", err)
	}
	return nil
}
