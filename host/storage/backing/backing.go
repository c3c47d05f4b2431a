// SPDX-License-Identifier: MPL-2.0

// Package backing is the storage below the tap, with what is known of it: its transactions
// and their limits, its spelling of keys, the locks of its keys.
//
// It writes what it is told to and asks nobody: nothing here is guarded, journalled or
// counted by an index. A write of a replicated key that is made here by anybody but the write
// path would be missing on every secondary. So the other parts write only their own
// records here, and send all else through the write path.
package backing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

const (
	// The limits of transactions on storage that does not name its own (those of consul,
	// by the SDK).
	defaultEntries = 63
	defaultBytes   = 128 << 10

	// What is left free in a transaction that a part of the tap makes itself: for the
	// cursor, a journal row of its own when the cluster is a primary too, and what the
	// host adds.
	spareEntries = 8
	spareBytes   = 16 << 10

	// parallelGets bounds the reads of one call that are under way.
	parallelGets = 16
)

// Options are what is known of a storage; see storage.Options.
type Options struct {
	Logger     hclog.Logger
	Limits     func() (maxEntries, maxBytes int)
	ApplyBytes int
	Room       func() error
	PathKeys   bool
	AnyPrefix  bool
	Fenced     bool
	Classes    *keyclass.Classifier
}

// Storage is the storage below the tap. It has no lock but those of the keys, which are
// taken by who writes.
type Storage struct {
	Raw    physical.Backend       // what New was given
	Inner  physical.Backend       // the same, in which what cannot be there is absent
	Txn    physical.Transactional // Raw, nil if it has no transactions
	Logger hclog.Logger
	Room   func() error // nil for none
	// PathKeys says that several spellings are one key, AnyPrefix that what begins with any
	// prefix is listed.
	PathKeys, AnyPrefix bool
	// Keys serialise writes of a key.
	Keys *lock.Keys

	fenced     bool
	classes    *keyclass.Classifier
	limits     func() (int, int)
	applyBytes atomic.Int64
}

// New is a storage of which something is known.
func New(inner physical.Backend, o Options) *Storage {
	b := &Storage{
		Raw: inner, Inner: unstorable.Absent(inner), Logger: o.Logger, Room: o.Room,
		PathKeys: o.PathKeys, AnyPrefix: o.AnyPrefix, Keys: lock.NewKeys(), fenced: o.Fenced, classes: o.Classes,
		limits: o.Limits,
	}
	b.Txn, _ = inner.(physical.Transactional)
	b.applyBytes.Store(int64(o.ApplyBytes))
	b.Logger = cmp.Or(b.Logger, hclog.NewNullLogger())
	b.classes = cmp.Or(b.classes, &keyclass.Classifier{})
	return b
}

// Classes says which key is what.
func (b *Storage) Classes() *keyclass.Classifier { return b.classes }

// Fences says whether the storage keeps a deposed leader from writing.
func (b *Storage) Fences() bool { return b.fenced }

// Limits are the limits of one transaction, entries and bytes.
func (b *Storage) Limits() (entries, bytes int) {
	if b.limits != nil {
		entries, bytes = b.limits()
	} else if l, ok := b.Raw.(physical.TransactionalLimits); ok {
		entries, bytes = l.TransactionLimits()
	}
	if entries <= 0 {
		entries = defaultEntries
	}
	if bytes <= 0 {
		bytes = defaultBytes
	}
	return entries, bytes
}

// ownLimits are those of a transaction that the tap makes itself.
func (b *Storage) ownLimits() (entries, bytes int) {
	entries, bytes = b.Limits()
	return entries, max(bytes, int(b.applyBytes.Load()))
}

// Spare is how much a part of the tap puts into a transaction of its own, so that what is
// added to it fits too.
func (b *Storage) Spare() (entries, bytes int) {
	entries, bytes = b.ownLimits()
	return max(1, entries-spareEntries), max(1, bytes-spareBytes)
}

// Refused says that the storage has refused a transaction that is larger than its limits
// say: from now on they hold.
func (b *Storage) Refused() { b.applyBytes.Store(0) }

// Fits says whether entries, and one more unless it is nil, fit into a transaction.
func (b *Storage) Fits(writes []*physical.TxnEntry, more *physical.Entry) bool {
	entries, bytes := b.ownLimits()
	count, size := len(writes), txn.SizeOf(writes)
	if more != nil {
		count, size = count+1, size+txn.Size(more)
	}
	return count <= entries && size <= bytes
}

// Split cuts writes into transactions; a write that fits into none is alone.
func (b *Storage) Split(writes []*physical.TxnEntry) [][]*physical.TxnEntry {
	entries, bytes := b.Spare()
	var out [][]*physical.TxnEntry
	start, size := 0, 0
	for i, e := range writes {
		n := txn.Size(e.Entry) + len(e.Entry.Key) + 32
		if i > start && (i-start >= entries || size+n > bytes) {
			out = append(out, writes[start:i])
			start, size = i, 0
		}
		size += n
	}
	return append(out, writes[start:])
}

// Store makes the writes, in one transaction where the storage has any.
func (b *Storage) Store(ctx context.Context, writes []*physical.TxnEntry) error {
	switch len(writes) {
	case 0:
		return nil
	case 1:
		e := writes[0]
		switch e.Operation {
		case physical.PutOperation:
			return b.Inner.Put(ctx, e.Entry)
		case physical.DeleteOperation:
			return b.Inner.Delete(ctx, e.Entry.Key)
		}
	}
	if b.Txn != nil {
		return b.Txn.Transaction(ctx, writes)
	}
	if slices.ContainsFunc(writes, func(e *physical.TxnEntry) bool { return vaultname.IsKey(e.Entry.Key) }) {
		// New keys of a primary come with the stored keys that open them: one
		// without the other would lock the cluster out.
		step, rest := stepOf(writes)
		if err := onestep.Write(ctx, b.Raw, step); err != nil {
			return err
		}
		writes = rest
	}
	for _, e := range writes {
		if err := b.Store(ctx, []*physical.TxnEntry{e}); err != nil {
			return err
		}
	}
	return nil
}

// StoreSplit makes the writes in as many transactions as it takes.
func (b *Storage) StoreSplit(ctx context.Context, writes []*physical.TxnEntry) error {
	for _, piece := range b.Split(writes) {
		if err := b.Store(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

// StoreOneStep makes all of the writes or none.
func (b *Storage) StoreOneStep(ctx context.Context, writes []*physical.TxnEntry) error {
	step, rest := stepOf(writes)
	if len(rest) > 0 {
		return fmt.Errorf("%s is no part of a change of role: nothing was written", rest[0].Entry.Key)
	}
	return onestep.Write(ctx, b.Raw, step)
}

// stepOf are the rows that are written in one step with keys, and the other writes.
func stepOf(writes []*physical.TxnEntry) (rows []onestep.Row, rest []*physical.TxnEntry) {
	for _, e := range writes {
		switch {
		case e.Operation == physical.GetOperation || !onestep.Allowed(e.Entry.Key):
			rest = append(rest, e)
		case e.Operation == physical.PutOperation:
			rows = append(rows, onestep.Row{Key: e.Entry.Key, Value: e.Entry.Value})
		default:
			rows = append(rows, onestep.Row{Key: e.Entry.Key})
		}
	}
	return rows, rest
}

// ReadFresh reads a record past the cache, which may be stale on a node that was a standby;
// nil if there is none.
func (b *Storage) ReadFresh(ctx context.Context, key string) ([]byte, error) {
	e, err := b.Inner.Get(physical.CacheRefreshContext(ctx, true), key)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Value, nil
}

// ReadAll reads values, nil for keys that do not exist.
func (b *Storage) ReadAll(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	get := func(ctx context.Context, i int) error {
		e, err := b.Inner.Get(ctx, keys[i])
		if err == nil && e != nil {
			if values[i] = e.Value; values[i] == nil {
				values[i] = []byte{}
			}
		}
		return err
	}
	if len(keys) <= 4 {
		for i := range keys {
			if err := get(ctx, i); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
	// A few goroutines take a share each: one goroutine a key costs more than
	// most storages need for the read.
	workers := min(parallelGets, (len(keys)+3)/4)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(keys); i += workers {
				if err := get(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return values, g.Wait()
}
