// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
)

// aroundTables makes a write, which may be one of mount tables.
func (wp *writePath) aroundTables(ctx context.Context, writes []*physical.TxnEntry, write func() error) error {
	var told []string
	var err error
	for _, e := range writes {
		if e.Operation != physical.PutOperation || keyclass.Tables[e.Entry.Key] == "" || !wp.passes(e) {
			continue
		}
		told = append(told, e.Entry.Key)
		if err = wp.observer().TableWritten(ctx, e.Entry.Key, e.Entry.Value); err != nil {
			break
		}
	}
	if err == nil {
		err = write()
	}
	if err != nil {
		wp.tablesStay(ctx, told)
		return err
	}
	for _, key := range told {
		wp.observer().TableStored(ctx, key)
	}
	return nil
}

// passes says whether the present guard lets a write through; the write itself is
// checked again.
func (wp *writePath) passes(e *physical.TxnEntry) bool {
	g := wp.Guard()
	drop, err := g.check(wp.below.Classes(), e.Operation, e.Entry.Key)
	return !drop && err == nil
}

// tablesStay tells the observer of the tables that the storage has after a write that
// failed.
func (wp *writePath) tablesStay(ctx context.Context, keys []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, key := range keys {
		value, err := wp.below.ReadFresh(ctx, key)
		if err == nil {
			err = wp.observer().TableWritten(ctx, key, value)
		}
		if err != nil {
			wp.below.Logger.Warn("a mount table could not be written, and what the storage has of it could not be taken up; "+
				"keys of mounts that differ are classified by the table that was not written",
				"table", key, "error", err)
		}
	}
}
