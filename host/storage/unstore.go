// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// homes are the directories of the indexes of a mode that are stored.
func (t *Tap) homes(ctx context.Context, mode replication.Mode) (homes []string, err error) {
	prefix := indexPrefixes[mode]
	names, err := t.inner.List(ctx, prefix)
	if err != nil {
		return nil, storageFailed("list the stored index", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			homes = append(homes, prefix+name)
		}
	}
	return homes, nil
}

// behead makes what is stored below directories count no more.
func (t *Tap) behead(ctx context.Context, homes []string) error {
	for _, home := range homes {
		if err := t.inner.Delete(ctx, fingerprint.HeadOf(home)); err != nil {
			return storageFailed("delete a stored index", err)
		}
	}
	return nil
}

// forgetStored makes stored indexes count no more that no running one looks after: keys
// of the content are about to be changed.
func (t *Tap) forgetStored(ctx context.Context) error {
	prints := t.regime.Load().prints
	for mode := range indexPrefixes {
		if prints[mode] != nil {
			continue
		}
		homes, err := t.homes(ctx, mode)
		if err != nil {
			return err
		}
		if err := t.behead(ctx, homes); err != nil {
			return err
		}
	}
	return nil
}

// StoredIndexes are the rows without which no index that is stored counts. Who changes
// replicated keys below the tap deletes them with it.
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

// unstore deletes the heads of what does not count any more.
func (p *print) unstore(ctx context.Context, t *Tap) error {
	for _, head := range p.index.Heads() {
		if err := t.inner.Delete(ctx, head); err != nil {
			return storageFailed("delete a stored index", err)
		}
		p.index.Headless(head)
	}
	return nil
}

// unstoreLost deletes what is stored of indexes that were invalidated because it is wrong.
func (t *Tap) unstoreLost(ctx context.Context, r *regime) error {
	for _, p := range r.prints {
		if err := p.unstore(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// deleteStored deletes the rows of a directory, the head first.
func (t *Tap) deleteStored(ctx context.Context, home string) error {
	names, err := t.inner.List(ctx, home)
	if err != nil {
		return storageFailed("list a stored index", err)
	}
	head := fingerprint.HeadOf(home)
	if err := t.inner.Delete(ctx, head); err != nil {
		return storageFailed("delete a stored index", err)
	}
	var txn []*physical.TxnEntry
	for _, name := range names {
		if key := home + name; key != head {
			txn = append(txn, &physical.TxnEntry{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: key}})
		}
	}
	for _, piece := range t.split(txn) {
		if err := t.store(ctx, piece); err != nil {
			return storageFailed("delete a stored index", err)
		}
	}
	return nil
}
