// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// A table is here a row that decides the classes of other keys: a mount table, or the record of what backends have
// declared.

// aroundTables makes a write. If the write has tables, the observer is told before and after it.
func (wp *writePath) aroundTables(ctx context.Context, writes []*physical.TxnEntry, write func() error) error {
	var tables []*physical.Entry
	for _, e := range writes {
		if e.Operation == physical.PutOperation && keyclass.Decides(e.Entry.Key) && wp.passes(e) {
			tables = append(tables, e.Entry)
		}
	}
	if len(tables) == 0 {
		return write()
	}
	if err := wp.tablesTold(ctx, tables, write); err != nil {
		return err
	}
	for _, e := range tables {
		wp.observer().TableStored(ctx, e.Key)
	}
	return nil
}

// tablesTold tells the observer of tables and makes their write, under the turns of these tables.
func (wp *writePath) tablesTold(ctx context.Context, tables []*physical.Entry, write func() error) error {
	var all, told []string
	for _, e := range tables {
		all = append(all, e.Key)
	}
	done, err := wp.tables.take(ctx, all)
	if err != nil {
		return err
	}
	defer done()
	for _, e := range tables {
		told = append(told, e.Key)
		if err = wp.observer().TableWritten(ctx, e.Key, e.Value); err != nil {
			break
		}
	}
	if err == nil {
		err = write()
	}
	if err == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if stay := wp.tablesStay(bounded, told); stay != nil {
		wp.below.Logger.Warn("a table of mounts, or what their plugins declare, could not be written, and what the storage "+
			"has of it could not be taken up; until it is, keys of mounts that differ are classified by what was not written",
			"rows", told, "error", stay)
		wp.tablesStayLater(told)
	}
	return err
}

// passes says whether the present guard lets a write pass. The write itself is checked again.
func (wp *writePath) passes(e *physical.TxnEntry) bool {
	g := wp.Guard()
	drop, err := g.check(wp.below.Classes(), e.Operation, e.Entry.Key)
	return !drop && err == nil
}

// tablesStay tells the observer of the tables that the storage has after a failed write.
func (wp *writePath) tablesStay(ctx context.Context, keys []string) error {
	for _, key := range keys {
		value, err := wp.below.ReadFresh(ctx, key)
		if err == nil {
			err = wp.observer().TableWritten(ctx, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tablesStayLater tries this until it succeeds or the journal ends: what secondaries get and what the fingerprint
// counts must follow the stored tables.
func (wp *writePath) tablesStayLater(keys []string) {
	j := wp.writeMode.Load().journal
	if j == nil {
		return
	}
	go func() {
		for retry := pause.Growing(settleRetryMin, settleRetryMax); pause.For(j.Lifetime(), retry.NextBackOff()) == nil; {
			done, err := wp.tables.take(j.Lifetime(), keys)
			if err != nil {
				return
			}
			err = wp.tablesStay(j.Lifetime(), keys)
			done()
			if err == nil {
				return
			}
		}
	}()
}

// tableTurns has a turn for each table. Its holder tells the observer of the table.
type tableTurns map[string]lock.Turns

func newTableTurns() tableTurns {
	turns := tableTurns{keyclass.DeclaredKey: make(lock.Turns, 1)}
	for table := range keyclass.Tables {
		turns[table] = make(lock.Turns, 1)
	}
	return turns
}

// take takes the turns of tables, always in the same order.
func (t tableTurns) take(ctx context.Context, tables []string) (done func(), err error) {
	var taken []func()
	done = func() {
		for _, end := range taken {
			end()
		}
	}
	for _, table := range slices.Compact(slices.Sorted(slices.Values(tables))) {
		end, err := t[table].Take(ctx)
		if err != nil {
			done()
			return nil, err
		}
		taken = append(taken, end)
	}
	return done, nil
}
