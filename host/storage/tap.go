// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/index"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// modes are all modes of replication.
var modes = []replication.Mode{replication.DR, replication.Performance}

const (
	// DefaultRingBytes bounds the recent writes that are kept in memory.
	DefaultRingBytes = 64 << 20
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
	// Numbers is how many numbers of the journal are reserved at once; zero for DefaultNumbers.
	Numbers int
	// FrameBytes and RangeBytes are the sizes at which a frame and a range are cut;
	// zero for replication.PayloadTarget and a few times that.
	FrameBytes, RangeBytes int
	// Caps bound what a slot retains.
	Caps SlotCaps
	// Fenced says that the storage keeps a deposed leader from writing. Transactions alone do
	// not: it takes raft's term, or a lock that is checked with each write.
	Fenced bool
	// LateEvery is how often rows of deposed leaders are looked for on storage that does
	// not fence them; zero for DefaultLateEvery.
	LateEvery time.Duration
	// StoreAfter is how long a part of the index is at rest before it is stored again;
	// zero for index.DefaultStoreAfter.
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
//
// It is made of four parts, each with its own state and locks: the write path, the
// primary's part, a secondary's part for each mode, and the indexes. What concerns more
// than one of them is here.
//
// A goroutine takes locks in this order: the turn of an apply of a mode, writePath.control,
// the locks of the keys of a write, then those inside a part, which are held for a
// moment and under which none of another part is taken.
type Tap struct {
	*writePath
	*primary
	indexes     *index.Indexes
	duty        *secondary.Duty
	secondaries map[replication.Mode]*secondary.Secondary
}

// New puts a tap over a backend. It passes everything through.
func New(inner physical.Backend, o Options) *Tap {
	below := backing.New(inner, backing.Options{
		Logger: o.Logger, Limits: o.Limits, ApplyBytes: o.ApplyBytes, Room: o.Room,
		PathKeys: o.PathKeys, AnyPrefix: o.AnyPrefix, Fenced: o.Fenced, Classes: o.Classes,
	})
	w := &writePath{below: below, alone: o.Alone}
	w.observed.Store(&observer{Nobody{}})
	w.writeMode.Store(newWriteMode(&writeMode{}))
	t := &Tap{writePath: w, duty: secondary.NewDuty(), secondaries: map[replication.Mode]*secondary.Secondary{}}
	t.indexes = index.New(index.Needs{
		Below: below, Writes: telling{w}, StoreAfter: orDefault(o.StoreAfter, index.DefaultStoreAfter),
		Copying: func(mode replication.Mode) bool { return t.secondaries[mode].Copying() },
		Wrong:   func(mode replication.Mode) { w.observer().IndexWrong(mode) },
	})
	w.counted, t.primary = t.indexes, newPrimary(w, t.indexes, o)
	for _, mode := range modes {
		t.secondaries[mode] = secondary.New(secondary.Needs{
			Mode: mode, Below: below, Writes: applying{w}, Duty: t.duty,
			Listener: func() secondary.Listener { return w.observer() },
			Index: func() secondary.Index {
				if x := w.writeMode.Load().indexes[mode]; x != nil {
					return x
				}
				return nil
			},
		})
	}
	return t
}

// Indexes are the indexes of what is replicated, for who asks what they have. They begin and
// end with the tap: see StartFingerprint.
type Indexes interface {
	// Fingerprint is that of a mode's content now, with the number of its keys; nil and 0
	// while it is not known.
	Fingerprint(mode replication.Mode) (replication.Fingerprint, uint64)
	State(mode replication.Mode) index.State
	Reindex(mode replication.Mode, forget bool) error
	Check(ctx context.Context, mode replication.Mode) (*index.Report, error)
	Store(ctx context.Context)
}

// Indexes are those of this node.
func (t *Tap) Indexes() Indexes { return t.indexes }

// StartFingerprint begins to keep the fingerprint of a mode's content: a scan in
// the background, during which the fingerprint is unknown, and then with every
// write. The host calls it when the node becomes active in a role of the mode.
// With the key that is in use already it does nothing.
func (t *Tap) StartFingerprint(ctx context.Context, mode replication.Mode, key fingerprint.Key) error {
	if err := failure.Mode(mode); err != nil {
		return err
	}
	t.control.Lock()
	defer t.control.Unlock()
	return t.indexes.Start(ctx, mode, key)
}

// StopFingerprint ends that. The host calls it when the node gives up its role:
// the fingerprint cannot follow what another node writes.
func (t *Tap) StopFingerprint(ctx context.Context, mode replication.Mode) error {
	t.control.Lock()
	defer t.control.Unlock()
	return t.indexes.Stop(ctx, mode, true)
}

// Secondary is the part of a mode in which this cluster is, or may become, a secondary.
func (t *Tap) Secondary(mode replication.Mode) *secondary.Secondary { return t.secondaries[mode] }

// OnDuty says that this node has begun to lead, once its core has read from storage
// what it needs. Applies run to their end under this context, and what is owed is taken
// up under it.
func (t *Tap) OnDuty(ctx context.Context) {
	t.duty.Begin(ctx)
	for _, s := range t.secondaries {
		s.OnDuty()
	}
}

// Inner is the storage below the tap. Writes to it are neither guarded, nor
// journalled, nor in the fingerprint: it is for Own keys.
func (t *Tap) Inner() physical.Backend { return t.below.Raw }

// Classes is the tap's view of which key is what.
func (t *Tap) Classes() *keyclass.Classifier { return t.below.Classes() }

// SetGuard changes the guard and returns when no write that the former guard
// let through is under way. When the context ends before, the guard holds all
// the same.
func (t *Tap) SetGuard(ctx context.Context, g Guard) error {
	t.control.Lock()
	defer t.control.Unlock()
	g.Modes, g.Absorb = slices.Clone(g.Modes), slices.Clone(g.Absorb)
	for m, s := range t.secondaries {
		if g.Level != ReadOnly || !slices.Contains(g.Modes, m) {
			s.EndWaits() // a secondary no more, or about to change
		}
	}
	return t.change(ctx, func(r *writeMode) { r.guard = g })
}

// Rest stops what the tap writes by itself, and waits for it until the context
// ends: the node has ended its duty, and its storage may be replaced under it.
func (t *Tap) Rest(ctx context.Context) {
	t.indexes.Rest(ctx)
	if j := t.writeMode.Load().journal; j != nil {
		j.rest(ctx)
	}
}

// Abandon ends the journal and all fingerprints in memory and writes nothing: for
// a node that has lost its leadership, whose numbers are no longer the newest.
func (t *Tap) Abandon(ctx context.Context) error {
	t.endWaits()
	t.control.Lock()
	defer t.control.Unlock()
	err := t.abandon(ctx)
	// What was listed may not be there any more: the storage may be another one.
	t.forgetListed()
	return err
}

// Close ends the journal and all fingerprints. The tap passes writes through
// afterwards, under the guard that it has.
func (t *Tap) Close(ctx context.Context) error {
	t.endWaits()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.OnDuty(over)
	err := t.Deactivate(ctx)
	for _, m := range modes {
		err = errors.Join(err, t.StopFingerprint(ctx, m))
	}
	t.forgetListed()
	return err
}

// forgetListed forgets what directories had.
func (t *Tap) forgetListed() {
	t.primary.forgetListed()
	for _, s := range t.secondaries {
		s.ForgetListed()
	}
}

// endWaits ends all waiting because the node's duty ends.
func (t *Tap) endWaits() {
	for _, s := range t.secondaries {
		s.EndWaits()
	}
}

// orDefault is a setting, or its default if it is not set.
func orDefault[N int | time.Duration](set, otherwise N) N {
	if set > 0 {
		return set
	}
	return otherwise
}
