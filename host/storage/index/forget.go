// SPDX-License-Identifier: MPL-2.0

package index

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

// Homes are the directories of the stored indexes of a mode.
func (x *Indexes) Homes(ctx context.Context, mode replication.Mode) (homes []string, err error) {
	prefix := keyclass.IndexPrefix(mode)
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

// invalidateHomes deletes the heads of stored indexes: without its head an index does not count.
func (x *Indexes) invalidateHomes(ctx context.Context, homes []string) error {
	for _, home := range homes {
		if err := x.below.Inner.Delete(ctx, fingerprint.HeadOf(home)); err != nil {
			return failure.Storage("delete a stored index", err)
		}
	}
	return nil
}

// InvalidateUntold is called before a write. It invalidates the stored indexes that may have counted the write's keys,
// for each mode without a running index. Such a write comes from a core that leads before its term begins, or that has
// no role any more.
func (x *Indexes) InvalidateUntold(ctx context.Context, writes []*physical.TxnEntry,
	told map[replication.Mode]*Index) error {
	for mode, may := range x.unwatched {
		if told[mode] != nil || !may.Load() || !x.countsIn(mode, writes) {
			continue
		}
		homes, err := x.Homes(ctx, mode)
		if err != nil {
			return err
		}
		if err := x.invalidateHomes(ctx, homes); err != nil {
			return err
		}
		may.Store(false)
	}
	return nil
}

// countsIn says whether an index of a mode may have counted a key of a write.
func (x *Indexes) countsIn(mode replication.Mode, writes []*physical.TxnEntry) bool {
	return slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
		if e.Operation == physical.GetOperation {
			return false
		}
		class := x.below.Classes().Class(e.Entry.Key)
		return keyclass.InMode(class, mode) || (class == keyclass.Unknown && keyclass.InView(e.Entry.Key))
	})
}

// InvalidateStored deletes the stored heads of an index that was invalidated.
func (p *Index) InvalidateStored(ctx context.Context) error {
	for _, head := range p.index.Heads() {
		if err := p.of.below.Inner.Delete(ctx, head); err != nil {
			return failure.Storage("delete a stored index", err)
		}
		p.index.Headless(head)
	}
	return nil
}

// deleteStored deletes the rows of a directory, the head first.
func (x *Indexes) deleteStored(ctx context.Context, home string) error {
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

// StoredOf are the rows of stored indexes that have counted any of the keys.
func (x *Indexes) StoredOf(ctx context.Context, keys []string) (rows []string, err error) {
	ctx = physical.CacheRefreshContext(ctx, true)
	for _, mode := range replication.Modes() {
		homes, err := x.Homes(ctx, mode)
		if err != nil {
			return nil, err
		}
		for _, home := range homes {
			names, err := x.below.Inner.List(ctx, home)
			if err != nil {
				return nil, failure.Storage("list the stored index", err)
			}
			all := make([]string, 0, len(names))
			for _, name := range names {
				if row := home + name; !fingerprint.IsHead(row) {
					all = append(all, row)
				}
			}
			values, err := x.below.ReadAll(ctx, all)
			if err != nil {
				return nil, failure.Storage("read the stored index", err)
			}
			for i, row := range all {
				after, upTo, ok := fingerprint.Span(values[i])
				if !ok || slices.ContainsFunc(keys, func(key string) bool { return key > after && (upTo == "" || key <= upTo) }) {
					rows = append(rows, row)
				}
			}
		}
	}
	return rows, nil
}

// Forget deletes the stored index of a mode.
func (x *Indexes) Forget(ctx context.Context, mode replication.Mode) error {
	homes, err := x.Homes(ctx, mode)
	if err != nil {
		return err
	}
	for _, home := range homes {
		if err := x.deleteStored(ctx, home); err != nil {
			return err
		}
	}
	return nil
}
