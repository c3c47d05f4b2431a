// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// DefaultRingBytes bounds the recent writes that are kept in memory.
	DefaultRingBytes = 64 << 20
	// DefaultTxnEntries and DefaultTxnBytes are the limits of transactions on
	// storage that does not name its own (those of consul, by the SDK).
	DefaultTxnEntries = 63
	DefaultTxnBytes   = 128 << 10
)

// Options configure a Tap; the zero value is usable.
type Options struct {
	Logger hclog.Logger
	// Limits are those of the lowest layer's transactions, entries and bytes;
	// zero means the default. The layers between do not pass them on, so the
	// host reads them from the storage itself. nil asks the inner backend.
	Limits func() (maxEntries, maxBytes int)
	// ApplyBytes is how large a transaction of applied writes may be where the
	// storage takes larger ones than its limits say; zero for no more than those. It
	// may refuse one all the same: then its limits hold from there on.
	ApplyBytes int
	// Room is asked before each transaction that applies what a primary wrote; its error
	// says that the storage has no room for it. nil for storage that says so itself, and
	// goes on.
	Room func() error
	// RingBytes bounds the journal's rows in memory; zero for DefaultRingBytes.
	RingBytes int
	// RingRows bounds them by their number too; zero for no such bound.
	RingRows int
	// FrameBytes and RangeBytes are the sizes at which a frame and a range are cut;
	// zero for replication.PayloadTarget and a few times that.
	FrameBytes, RangeBytes int
	// Caps bound what a slot retains.
	Caps SlotCaps
	// LateEvery is how often rows of deposed leaders are looked for on storage that does
	// not fence them; zero for DefaultLateEvery.
	LateEvery time.Duration
	// StoreAfter is how long a part of the index is at rest before it is stored again;
	// zero for DefaultStoreAfter.
	StoreAfter time.Duration
	// PathKeys says that the storage joins keys as paths, so that several spellings
	// are one key. Only for storage without transactions.
	PathKeys bool
	// AnyPrefix says that the storage lists what begins with any prefix, not directories
	// alone: then the large ones need not be listed as a whole.
	AnyPrefix bool
	// Alone says which keys, such as mount tables, a frame's apply must write in a
	// transaction apart from other rows: who is told of it may have to act before
	// anything later is there. nil for none.
	Alone func(key string) bool
	// Classes says which keys are replicated; nil for the table alone.
	Classes *keyclass.Classifier
}

// Tap is the storage tap. Make it with New. Safe for concurrent use.
type Tap struct {
	raw      physical.Backend       // what New was given
	inner    physical.Backend       // the same, in which what cannot be there is absent
	txn      physical.Transactional // inner, nil if it has no transactions
	logger   hclog.Logger
	limits   func() (int, int)
	room     func() error // nil for none
	ring     int
	ringRows int // 0 for no bound
	frames   int // bytes of a frame
	ranges   int // bytes of a range

	applyBytes atomic.Int64

	caps        SlotCaps
	slotRecords turns // of writes of the slots' records
	asking      *asking

	storeAfter time.Duration

	lateEvery time.Duration
	lateLooks atomic.Uint64

	pathKeys bool
	// anyPrefix says that the storage lists what begins with any prefix.
	anyPrefix bool
	alone     func(string) bool
	classes   *keyclass.Classifier
	// settled are the classes of keys of mounts that the indexes count by.
	settled atomic.Pointer[[32]byte]
	stripes *stripes

	regime   atomic.Pointer[regime]
	control  sync.Mutex // serialises changes of the regime
	draining []*regime  // regimes that a change gave up waiting for

	reached  reached // of the last term of this process; by control
	lost     atomic.Bool
	lostAt   atomic.Pointer[replication.Position]
	lostHook atomic.Pointer[func()]

	leaderHook  atomic.Pointer[func(context.Context) error]
	tableHook   atomic.Pointer[func(context.Context, string, []byte) error]
	tableStored atomic.Pointer[func(context.Context, string)]
	wrongHook   atomic.Pointer[func(replication.Mode)]
	beforeApply atomic.Pointer[func(context.Context, *Batch) error]
	onApplied   atomic.Pointer[func(context.Context, []string) []string]

	duty      atomic.Pointer[context.Context]
	applying  map[replication.Mode]turns        // one apply of a mode at a time
	forced    map[replication.Mode]*atomic.Bool // ForceCopyApplied was called in the apply under way
	debts     map[replication.Mode]*debt
	telling   sync.Mutex // one call of onApplied at a time
	progress  map[replication.Mode]*progress
	verifiers map[replication.Mode]*verifier
	filters   filters
	held      heldViews
	reads     *walkers                   // walks of ReadRange, by mode
	applies   *walkers                   // walks of ApplyRange, by mode
	listings  listings                   // of the comparisons of secondaries
	diffs     map[replication.Mode]*diff // by applying
	refetches map[replication.Mode]*refetch

	// unwatched says of which modes an index may be stored that no running one looks
	// after: see beheadUnwatched.
	unwatched map[replication.Mode]*atomic.Bool

	unknown  atomic.Uint64
	refusals refusal.Counters
}

// New puts a tap over a backend. It passes everything through.
func New(inner physical.Backend, o Options) *Tap {
	t := &Tap{
		raw: inner, inner: unstorable.Absent(inner), logger: o.Logger, limits: o.Limits, room: o.Room, ring: o.RingBytes, ringRows: o.RingRows, caps: o.Caps, slotRecords: make(turns, 1), asking: newAsking(), classes: o.Classes, pathKeys: o.PathKeys, anyPrefix: o.AnyPrefix, alone: o.Alone,
		stripes:  newStripes(),
		applying: map[replication.Mode]turns{replication.DR: make(turns, 1), replication.Performance: make(turns, 1)},
		debts:    map[replication.Mode]*debt{replication.DR: {}, replication.Performance: {}},
	}
	duty := context.Background()
	t.duty.Store(&duty)
	t.forced = map[replication.Mode]*atomic.Bool{replication.DR: {}, replication.Performance: {}}
	t.unwatched = map[replication.Mode]*atomic.Bool{replication.DR: {}, replication.Performance: {}}
	for mode := range t.unwatched {
		t.mayBeStored(mode)
	}
	t.diffs = map[replication.Mode]*diff{}
	t.refetches = map[replication.Mode]*refetch{replication.DR: {}, replication.Performance: {}}
	t.progress = map[replication.Mode]*progress{replication.DR: {}, replication.Performance: {}}
	t.verifiers = map[replication.Mode]*verifier{replication.DR: {}, replication.Performance: {}}
	t.txn, _ = inner.(physical.Transactional)
	t.applyBytes.Store(int64(o.ApplyBytes))
	if t.logger == nil {
		t.logger = hclog.NewNullLogger()
	}
	if t.storeAfter = o.StoreAfter; t.storeAfter <= 0 {
		t.storeAfter = DefaultStoreAfter
	}
	if t.lateEvery = o.LateEvery; t.lateEvery <= 0 {
		t.lateEvery = DefaultLateEvery
	}
	if t.ring <= 0 {
		t.ring = DefaultRingBytes
	}
	if t.frames = o.FrameBytes; t.frames <= 0 {
		t.frames = replication.PayloadTarget
	}
	if t.ranges = o.RangeBytes; t.ranges <= 0 {
		t.ranges = rangeTarget
	}
	if t.classes == nil {
		t.classes = &keyclass.Classifier{}
	}
	t.reads, t.applies = newWalkers(), newWalkers()
	t.regime.Store(newRegime(&regime{}))
	return t
}

// Classes is the tap's view of which key is what.
func (t *Tap) Classes() *keyclass.Classifier { return t.classes }

// Inner is the storage below the tap. Writes to it are neither guarded, nor
// journalled, nor in the fingerprint: it is for Own keys.
func (t *Tap) Inner() physical.Backend { return t.raw }

// UnknownKeys counts writes to keys that the table of classes does not know,
// seen while a journal or fingerprint was kept.
func (t *Tap) UnknownKeys() uint64 { return t.unknown.Load() }

// OnLeaderWrite installs a hook that is called before a write below core/leader/
// is passed on, which the core makes once at the start of each leadership on
// storage with high availability. An error fails the write, and with it the
// leadership. The hook may change the regime. nil removes it.
func (t *Tap) OnLeaderWrite(f func(context.Context) error) { store(&t.leaderHook, f, f == nil) }

// OnWrongIndex installs a hook that is called when a check of the index of a mode has found
// that the storage has something else than was written to it through this tap. It must
// not block. nil removes it.
func (t *Tap) OnWrongIndex(f func(replication.Mode)) { store(&t.wrongHook, f, f == nil) }

// BeforeApply installs a hook that sees each transaction of ApplyFrame and
// ApplyRange before it is written. It may add writes of Own keys, which become
// part of the transaction, and drop others; an error fails the apply. It must
// not change the regime. nil removes it.
func (t *Tap) BeforeApply(f func(context.Context, *Batch) error) { store(&t.beforeApply, f, f == nil) }

// OnApplied installs a hook that is called with the keys that an apply has
// written or deleted, in order, after they are durable and before anything later
// is applied: for each transaction of a frame, and once for a range with those
// that it has changed. It returns those that it could not take up, and is called with
// them again; nobody who waits for an apply is told that it is done before. Its
// context is that of the node's duty. It may be called with keys that have not
// changed, and is never called concurrently. nil removes it.
func (t *Tap) OnApplied(f func(ctx context.Context, keys []string) (left []string)) {
	store(&t.onApplied, f, f == nil)
}

func store[F any](p *atomic.Pointer[F], f F, remove bool) {
	if remove {
		p.Store(nil)
		return
	}
	p.Store(&f)
}

// txnLimits are the limits of one transaction, entries and bytes.
func (t *Tap) txnLimits() (entries, bytes int) {
	if t.limits != nil {
		entries, bytes = t.limits()
	} else if l, ok := t.raw.(physical.TransactionalLimits); ok {
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

// applyLimits are those of a transaction that the tap makes itself.
func (t *Tap) applyLimits() (entries, bytes int) {
	entries, bytes = t.txnLimits()
	return entries, max(bytes, int(t.applyBytes.Load()))
}

// Close ends the journal and all fingerprints. The tap passes writes through
// afterwards, under the guard that it has.
func (t *Tap) Close(ctx context.Context) error {
	t.endWaits()
	t.endDuty()
	err := t.Deactivate(ctx)
	for _, m := range []replication.Mode{replication.DR, replication.Performance} {
		err = errors.Join(err, t.StopFingerprint(ctx, m))
	}
	t.reads.close()
	t.applies.close()
	t.listings.close()
	return err
}
