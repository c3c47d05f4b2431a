// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// OnTableWrite installs a hook that is called before the core's write of a mount
// table is passed on, with its key and its value (still encrypted): the classes
// of a mount's keys must be right when the first of them is written. The hook
// gives the table to keyclass.Mounts and calls Reclassify for what has changed;
// its error fails the write. If the storage then fails the write, the hook is
// called again with what the storage has. Writes that the guard refuses or drops
// do not reach it. nil removes it.
func (t *Tap) OnTableWrite(f func(ctx context.Context, key string, value []byte) error) {
	store(&t.tableHook, f, f == nil)
}

// OnTableStored installs a hook that is called with the key of a mount table that
// the core has written, before its write returns. The hook may wait: no lock of the
// storage is held. nil removes it.
func (t *Tap) OnTableStored(f func(ctx context.Context, key string)) {
	store(&t.tableStored, f, f == nil)
}

// aroundTables makes a write, which may be one of mount tables.
func (t *Tap) aroundTables(ctx context.Context, txn []*physical.TxnEntry, write func() error) error {
	hook := t.tableHook.Load()
	if hook == nil {
		return write()
	}
	var told []string
	var err error
	for _, e := range txn {
		if e.Operation != physical.PutOperation || keyclass.Tables[e.Entry.Key] == "" || !t.passes(ctx, e) {
			continue
		}
		told = append(told, e.Entry.Key)
		if err = (*hook)(ctx, e.Entry.Key, e.Entry.Value); err != nil {
			break
		}
	}
	if err == nil {
		err = write()
	}
	if err != nil {
		t.tablesStay(ctx, *hook, told)
		return err
	}
	if stored := t.tableStored.Load(); stored != nil {
		for _, key := range told {
			(*stored)(ctx, key)
		}
	}
	return nil
}

// passes says whether the present guard lets a write through; the write itself is
// checked again.
func (t *Tap) passes(ctx context.Context, e *physical.TxnEntry) bool {
	g := t.Guard()
	if unguarded(ctx) {
		return true
	}
	drop, err := g.check(t.classes, e.Operation, e.Entry.Key)
	return !drop && err == nil
}

// tablesStay tells the hook of the tables that the storage has after a write that
// failed.
func (t *Tap) tablesStay(ctx context.Context, hook func(context.Context, string, []byte) error, keys []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, key := range keys {
		value, err := t.readFresh(ctx, key)
		if err == nil {
			err = hook(ctx, key, value)
		}
		if err != nil {
			t.logger.Warn("a mount table could not be written, and what the storage has of it could not be taken up; keys of mounts that differ are classified by the table that was not written",
				"table", key, "error", err)
		}
	}
}
