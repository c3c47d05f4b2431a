// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// backend is the storage that the core sees; transactional is the same over storage with transactions.
type backend struct{ t *writePath }

type transactional struct{ backend }

func (b *backend) Put(ctx context.Context, e *physical.Entry) error {
	if strings.HasPrefix(e.Key, vaultname.Leader) {
		if err := b.leaderStarts(ctx); err != nil {
			return err
		}
	}
	if !keyclass.Decides(e.Key) {
		return b.put(ctx, e)
	}
	writes := []*physical.TxnEntry{txn.Put(e)}
	return b.t.aroundTables(ctx, writes, func() error { return b.put(ctx, e) })
}

func (b *backend) put(ctx context.Context, e *physical.Entry) error {
	return b.write(ctx, txn.Put(e), func() error { return b.t.below.Inner.Put(ctx, e) })
}

func (b *backend) Delete(ctx context.Context, key string) error {
	return b.write(ctx, txn.Delete(key), func() error { return b.t.below.Inner.Delete(ctx, key) })
}

// write makes one write. Pass makes it where nobody watches.
func (b *backend) write(ctx context.Context, e *physical.TxnEntry, pass func() error) error {
	r := b.t.enter()
	defer r.leave()
	if drop, err := b.guarded(ctx, &r.guard, e.Operation, e.Entry.Key); drop || err != nil {
		return err
	}
	writes := []*physical.TxnEntry{e}
	if !r.watching {
		if err := b.t.counted.InvalidateUntold(ctx, writes, r.indexes); err != nil {
			return err
		}
		return pass()
	}
	return b.t.commit(ctx, r, writes, txn.Options{})
}

func (b *backend) Get(ctx context.Context, key string) (*physical.Entry, error) {
	return b.t.below.Raw.Get(ctx, key)
}

func (b *backend) List(ctx context.Context, prefix string) ([]string, error) {
	return b.t.below.Raw.List(ctx, prefix)
}

// Transaction implements physical.Transactional.
func (b *transactional) Transaction(ctx context.Context, writes []*physical.TxnEntry) error {
	if slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool {
		return e.Operation == physical.PutOperation && strings.HasPrefix(e.Entry.Key, vaultname.Leader)
	}) {
		if err := b.leaderStarts(ctx); err != nil {
			return err
		}
	}
	return b.t.aroundTables(ctx, writes, func() error {
		r := b.t.enter()
		defer r.leave()
		writes, err := b.guardedTxn(ctx, &r.guard, writes)
		if err != nil {
			return err
		}
		if !r.watching {
			if err := b.t.counted.InvalidateUntold(ctx, writes, r.indexes); err != nil {
				return err
			}
			return b.t.below.Txn.Transaction(ctx, writes)
		}
		return b.t.commit(ctx, r, writes, txn.Options{})
	})
}

// TransactionLimits implements physical.TransactionalLimits.
func (b *transactional) TransactionLimits() (int, int) { return b.t.below.Limits() }

func (b *backend) leaderStarts(ctx context.Context) error {
	return b.t.observer().LeadershipBegins(ctx)
}

// guarded says whether an operation of the core is refused or must be dropped. It notes a refusal for the code that
// runs the request.
func (b *backend) guarded(ctx context.Context, g *Guard, op physical.Operation, key string) (drop bool, err error) {
	if g.Level == Open {
		return false, nil
	}
	drop, err = g.check(b.t.below.Classes(), op, key)
	if errors.Is(err, logical.ErrReadOnly) {
		refusal.Note(ctx)
		b.t.refusals.Bump(key)
	}
	return drop, err
}

// guardedTxn refuses a whole transaction, or returns it without the operations that must be dropped.
func (b *backend) guardedTxn(ctx context.Context, g *Guard, writes []*physical.TxnEntry) ([]*physical.TxnEntry, error) {
	if g.Level == Open {
		return writes, nil
	}
	kept := make([]*physical.TxnEntry, 0, len(writes))
	for _, e := range writes {
		if e.Operation != physical.GetOperation {
			drop, err := b.guarded(ctx, g, e.Operation, e.Entry.Key)
			if err != nil {
				return nil, err
			}
			if drop {
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept, nil
}
