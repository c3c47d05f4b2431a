// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
)

// backing is the storage below the tap, with what is known of it. Nothing here is
// journalled or counted. It has no lock but the stripes, which serialise writes of a key;
// they are taken by who writes.
type backing struct {
	raw    physical.Backend       // what New was given
	inner  physical.Backend       // the same, in which what cannot be there is absent
	txn    physical.Transactional // inner, nil if it has no transactions
	logger hclog.Logger
	limits func() (int, int)
	room   func() error // nil for none

	applyBytes atomic.Int64

	pathKeys bool
	// anyPrefix says that the storage lists what begins with any prefix.
	anyPrefix bool
	classes   *keyclass.Classifier
	stripes   *stripes
}

func newBacking(inner physical.Backend, o Options) *backing {
	b := &backing{
		raw: inner, inner: unstorable.Absent(inner), logger: o.Logger, limits: o.Limits, room: o.Room,
		pathKeys: o.PathKeys, anyPrefix: o.AnyPrefix, classes: o.Classes, stripes: newStripes(),
	}
	b.txn, _ = inner.(physical.Transactional)
	b.applyBytes.Store(int64(o.ApplyBytes))
	if b.logger == nil {
		b.logger = hclog.NewNullLogger()
	}
	if b.classes == nil {
		b.classes = &keyclass.Classifier{}
	}
	return b
}

// Inner is the storage below the tap. Writes to it are neither guarded, nor
// journalled, nor in the fingerprint: it is for Own keys.
func (b *backing) Inner() physical.Backend { return b.raw }

// txnLimits are the limits of one transaction, entries and bytes.
func (b *backing) txnLimits() (entries, bytes int) {
	if b.limits != nil {
		entries, bytes = b.limits()
	} else if l, ok := b.raw.(physical.TransactionalLimits); ok {
		entries, bytes = l.TransactionLimits()
	}
	if entries <= 0 {
		entries = DefaultTxnEntries
	}
	if bytes <= 0 {
		bytes = DefaultTxnBytes
	}
	return entries, bytes
}

// applyLimits returns how many entries and bytes a transaction may have that the tap makes
// itself.
func (b *backing) applyLimits() (entries, bytes int) {
	entries, bytes = b.txnLimits()
	return entries, max(bytes, int(b.applyBytes.Load()))
}
