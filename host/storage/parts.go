// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"maps"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Each part of the tap uses the write path through an interface of its own.

// applying is the write path as a secondary uses it: see secondary.Writer.
type applying struct{ *writePath }

// Begin enters the present write mode.
func (wp applying) Begin() (commit txn.Commit, end func()) {
	r := wp.enter()
	return func(ctx context.Context, writes []*physical.TxnEntry, o txn.Options) error {
		return wp.commit(ctx, r, writes, o)
	}, r.leave
}

// DeleteKeys deletes keys in transactions, past the guard.
func (wp applying) DeleteKeys(ctx context.Context, keys []string) (deleted uint64, err error) {
	return wp.deleteKeys(ctx, keys)
}

// Alone says whether a row must not share a transaction with later ones.
func (wp applying) Alone(key string) bool { return wp.alone(key) }

// telling is the write path as the indexes use it: see index.WritePath. The caller holds control.
type telling struct{ *writePath }

// Running are the indexes that the present write mode tells of writes.
func (wp telling) Running() map[replication.Mode]*index.Index { return wp.writeMode.Load().indexes }

// Tell changes the write mode.
func (wp telling) Tell(ctx context.Context, mode replication.Mode, x *index.Index) error {
	return wp.change(ctx, func(r *writeMode) {
		indexes := make(map[replication.Mode]*index.Index, len(r.indexes)+1)
		maps.Copy(indexes, r.indexes)
		if indexes[mode] = x; x == nil {
			delete(indexes, mode)
		}
		r.indexes = indexes
	})
}

// journaling is the write path as a primary uses it: see primary.WritePath.
type journaling struct{ *writePath }

// Hold lets nobody else change the write mode until release is called.
func (wp journaling) Hold() (release func()) { return wp.hold() }

// SetJournal changes the write mode. The caller holds the write path.
func (wp journaling) SetJournal(ctx context.Context, j *primary.Journal, modes []replication.Mode) error {
	return wp.change(ctx, func(r *writeMode) {
		if r.journal, r.journaled = j, modes; j == nil {
			r.journal = nil
		}
	})
}

// Fence returns when all writes that began before it have ended.
func (wp journaling) Fence(ctx context.Context) error {
	release, err := wp.control.Take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return wp.change(ctx, func(*writeMode) {})
}

// JournalKeys makes rows of keys with their present values, if there is a journal.
func (wp journaling) JournalKeys(ctx context.Context, keys []string) error {
	r := wp.enter()
	defer r.leave()
	if r.journal == nil {
		return nil
	}
	return wp.journalKeys(ctx, r, keys)
}

// JournalForeign does so for keys that another node has written, if the given journal is still the present one.
func (wp journaling) JournalForeign(ctx context.Context, in *primary.Journal, keys []string, invalidate bool) error {
	if is, err := wp.journalIn(ctx, in, keys); !is || err != nil || !invalidate {
		return err
	}
	return wp.invalidateIndexes(ctx)
}

// journalIn makes rows of keys in a journal, if it is the present one.
func (wp journaling) journalIn(ctx context.Context, in *primary.Journal, keys []string) (is bool, err error) {
	r := wp.enter()
	defer r.leave()
	if r.journal != activeJournal(in) {
		return false, nil
	}
	return true, wp.journalKeys(ctx, r, keys)
}

// invalidateIndexes invalidates the indexes while none begins. It would miss an index that has read its stored blocks
// and does not count by them yet.
func (wp journaling) invalidateIndexes(ctx context.Context) error {
	release, err := wp.control.Take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := ctx.Err(); err != nil {
		return err
	}
	return wp.writeMode.Load().invalidateStored(ctx)
}
