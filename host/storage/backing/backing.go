// SPDX-License-Identifier: MPL-2.0

// Package backing is the storage below the tap, with its properties: its transactions and their limits, its spelling of
// keys, the locks of its keys.
//
// It writes without any checks: nothing here is guarded, journalled or counted by an index. If a part other than the
// write path wrote a replicated key here, every secondary would lack the write. So the other parts write only their own
// records here, and everything else through the write path.
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
	// The limits of transactions for storage that names none. They are those that the SDK has for consul.
	defaultEntries = 63
	defaultBytes   = 128 << 10

	// The room that is left free in a transaction of the tap itself: for the cursor, for a journal row if the cluster is a
	// primary too, and for what the host adds.
	spareEntries = 8
	spareBytes   = 16 << 10

	// parallelGets bounds the reads of one call that are under way.
	parallelGets = 16
)

// Options are the properties of a storage; see storage.Options.
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

// Storage is the storage below the tap. Its only locks are those of the keys; the writer takes them.
type Storage struct {
	Raw    physical.Backend       // what New was given
	Inner  physical.Backend       // the same, with impossible keys read as absent
	Txn    physical.Transactional // Raw, nil if it has no transactions
	Logger hclog.Logger
	Room   func() error // nil for none
	// PathKeys says that several spellings are one key. AnyPrefix says that List takes any prefix, not directories alone.
	PathKeys, AnyPrefix bool
	// Keys serialise writes of a key.
	Keys *lock.Keys

	fenced     bool
	classes    *keyclass.Classifier
	limits     func() (int, int)
	applyBytes atomic.Int64
}

// New is a storage with its properties.
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

// Classes gives the classes of keys.
func (b *Storage) Classes() *keyclass.Classifier { return b.classes }

// Fences says whether the storage keeps a deposed leader from writing.
func (b *Storage) Fences() bool { return b.fenced }

// orderKey is the row of Order.
const orderKey = "replication/journal/order"

// Order makes a write. On storage that fences, which orders its writes, every earlier one has landed after it or never
// will, whatever its caller was told.
func (b *Storage) Order(ctx context.Context) error {
	return b.Inner.Put(ctx, &physical.Entry{Key: orderKey, Value: []byte{1}})
}

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

// ownLimits are the limits of a transaction of the tap itself.
func (b *Storage) ownLimits() (entries, bytes int) {
	entries, bytes = b.Limits()
	return entries, max(bytes, int(b.applyBytes.Load()))
}

// Spare is how much a part of the tap may put into a transaction of its own, so that the additions fit too.
func (b *Storage) Spare() (entries, bytes int) {
	entries, bytes = b.ownLimits()
	return max(1, entries-spareEntries), max(1, bytes-spareBytes)
}

// Refused says that the storage refused a transaction above its declared limits. From now on these limits hold.
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
		// A new keyring comes with the stored keys that open it. One without the other would lock the cluster out.
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

// stepOf separates the rows that a step may write from the other writes.
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
		if err != nil && ctx.Err() == nil {
			// One damaged row stops whatever reads all rows, and only its key tells an operator what to remove.
			return fmt.Errorf("the key %q: %w", keys[i], err)
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
	// A few goroutines take a share each, because one goroutine for each key costs more than most reads.
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
